import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

/** Words that no identifier has as a part: each has a standard word (glossary of the project). */
const FORBIDDEN = new Set(
  (
    "told said heard hear held apart wish bell doorbell ring lookout endings awaited straight steering " +
    "begun seat farewell behind ahead wanted kick note over comeback hurry"
  ).split(" "),
);

const GENERATED = /(schema\.d|event-table)\.ts$/;
const root = fileURLToPath(new URL(".", import.meta.url));

function forbiddenIn(text: string): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
      const parts = node.text.replace(/([a-z0-9])([A-Z])/g, "$1 $2").split(/[^A-Za-z]+/);
      if (parts.some((part) => FORBIDDEN.has(part.toLowerCase()))) {
        names.push(node.text);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("source.tsx", text, ts.ScriptTarget.Latest, false, ts.ScriptKind.TSX));
  return names;
}

test("a forbidden word is seen as a part of an identifier, not in text or inside a word", () => {
  expect(forbiddenIn("const heardAt = setHeld(isOver, NOTE_MS)")).toHaveLength(4);
  expect(forbiddenIn('const override = "told"; // said')).toEqual([]);
});

test("no identifier of the dashboard has a forbidden word", () => {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  const sources = files.filter((file) => /\.tsx?$/.test(file) && !GENERATED.test(file));
  expect(sources.length).toBeGreaterThan(50);
  const names = sources.flatMap((file) =>
    forbiddenIn(readFileSync(root + file, "utf8")).map((name) => `${file}: ${name}`),
  );
  expect(names).toEqual([]);
});
