import { describe, expect, test } from "vitest";
import { changeDraft, draftOf } from "./draft";
import { faultAt, faultsElsewhere } from "./faults";
import { fieldsOf, initialPayload } from "./fields";

describe("fields of a schema", () => {
  const fields = fieldsOf({
    type: "object",
    required: ["input", "mode"],
    properties: {
      input: { type: "string", description: "The text" },
      title: { type: "string", maxLength: 80 },
      when: { type: "string", format: "date" },
      essay: { type: "string", format: "textarea", maxLength: 10 },
      steps: { type: "integer", default: 3 },
      seconds: { type: ["number", "null"] },
      fail_at: { anyOf: [{ type: "integer" }, { type: "null" }], default: null, title: "Fail at" },
      mode: { $ref: "#/$defs/Mode" },
      loud: { type: "boolean" },
      items: { type: "array" },
      "a/b": { anyOf: [{ type: "string" }, { type: "integer" }] },
    },
    $defs: { Mode: { type: "string", enum: ["fast", "good"] } },
  });
  const kinds = Object.fromEntries((fields ?? []).map(({ key, kind }) => [key, kind]));

  test("have the kind of their type", () => {
    expect(kinds).toEqual({
      input: "text",
      title: "line",
      when: "line",
      essay: "text",
      steps: "integer",
      seconds: "number",
      fail_at: "integer",
      mode: "choice",
      loud: "boolean",
      items: "json",
      "a/b": "json",
    });
  });

  test("begin with their defaults; what is optional is left out", () => {
    expect(initialPayload(fields)).toEqual({ input: "", steps: 3, mode: "fast" });
  });

  test("know their place in the request", () => {
    expect(fields?.at(-1)?.pointer).toBe("/payload/a~1b");
    expect(fields?.find(({ key }) => key === "fail_at")?.label).toBe("Fail at");
  });

  test("do not exist where the schema names none", () => {
    expect(fieldsOf({})).toBeNull();
    expect(fieldsOf({ type: "array" })).toBeNull();
  });

  test("survive a schema that refers to itself", () => {
    expect(fieldsOf({ $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } })).toBeNull();
  });
});

describe("a draft", () => {
  test("has the same values as form and as text", () => {
    const draft = changeDraft(draftOf({ input: "" }), { kind: "field", key: "input", value: "hi" });
    expect(JSON.parse(draft.text)).toEqual({ input: "hi" });
    const typed = changeDraft(draft, { kind: "text", text: '{"input": "you", "more": [1]}' });
    expect(typed.values).toEqual({ input: "you", more: [1] });
    expect(changeDraft(typed, { kind: "field", key: "more", value: undefined }).text).toBe(
      '{\n  "input": "you"\n}',
    );
  });

  test("keeps its values while the text is broken, and says why", () => {
    const draft = changeDraft(draftOf({ n: 1 }), { kind: "text", text: '{"n": ' });
    expect(draft.values).toEqual({ n: 1 });
    expect(draft.text).toBe('{"n": ');
    expect(draft.broken).toMatch(/not JSON/);
    expect(changeDraft(draft, { kind: "text", text: "[]" }).broken).toMatch(/object/);
    expect(changeDraft(draft, { kind: "text", text: "{}" }).broken).toBeNull();
  });

  test("keeps the order of its keys", () => {
    const draft = changeDraft(draftOf({ a: 1, b: 2 }), { kind: "field", key: "a", value: 3 });
    expect(Object.keys(draft.values)).toEqual(["a", "b"]);
  });
});

test("faults are shown at their field, the others on top", () => {
  const faults = [
    { at: "/payload/input", detail: "Too short." },
    { at: "/payload/items/3", detail: "Not a number." },
    { at: "/payload", detail: "Unknown key." },
    { at: "/payload/input_b", detail: "No." },
  ];
  expect(faultAt(faults, "/payload/input")).toBe("Too short.");
  expect(faultAt(faults, "/payload/items")).toBe("Not a number.");
  expect(faultAt(faults, "/name")).toBe("");
  expect(faultsElsewhere(faults, ["/payload/input", "/payload/items"])).toEqual([
    faults[2],
    faults[3],
  ]);
});
