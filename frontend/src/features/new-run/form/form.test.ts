import { describe, expect, test } from "vitest";
import { changeDraft, type Draft, draftOf, isMissing, obstacle } from "./draft";
import { type FieldValueKind, fieldValueOf } from "./field-value";
import { type Field, fieldsOf, initialPayload } from "./fields";
import { issueAt, issuesElsewhere } from "./issues";

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

  test("begin with their deissues; what is optional is left out", () => {
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

test("issues are shown at their field, the others on top", () => {
  const issues = [
    { at: "/payload/input", detail: "Too short." },
    { at: "/payload/items/3", detail: "Not a number." },
    { at: "/payload", detail: "Unknown key." },
    { at: "/payload/input_b", detail: "No." },
  ];
  expect(issueAt(issues, "/payload/input")).toBe("Too short.");
  expect(issueAt(issues, "/payload/items")).toBe("Not a number.");
  expect(issueAt(issues, "/name")).toBe("");
  expect(issuesElsewhere(issues, ["/payload/input", "/payload/items"])).toEqual([
    issues[2],
    issues[3],
  ]);
});

describe("what is typed into a field", () => {
  const fields =
    fieldsOf({
      required: ["words", "n"],
      properties: {
        words: { type: "array", items: { type: "string" }, minItems: 1 },
        n: { type: "integer" },
        marks: { type: "array", items: { $ref: "#/$defs/Mark" } },
        more: { type: "object" },
      },
      $defs: { Mark: { type: "number" } },
    }) ?? [];
  const [words, n, marks, more] = fields as [Field, Field, Field, Field];
  const type = (draft: Draft, field: Field, text: string) =>
    changeDraft(draft, { kind: "field-value", field, as: field.kind as FieldValueKind, text });

  test("is a list with an item on each line", () => {
    expect(fields.map(({ kind }) => kind)).toEqual(["strings", "integer", "numbers", "json"]);
    const draft = type(type(draftOf({}), words, "one\n\ntwo words\n"), marks, "1\n2.5");
    expect(draft.values).toEqual({ words: ["one", "two words"], marks: [1, 2.5] });
    expect(draft.fieldValues.words?.text).toBe("one\n\ntwo words\n");
    expect(fieldValueOf("strings", ["a", "b"]).text).toBe("a\nb");
    expect(fieldValueOf("strings", ["a\nb"]).kind).toBe("json");
  });

  test.each([
    [n, "many", /not a number/],
    [n, "1.5", /whole/],
    [marks, "1\nx", /Line 2/],
    [more, '{"a": ', /JSON/],
  ])("stops the start while it is no value", (field, text, why) => {
    const good = type(type(draftOf({}), words, "a"), n, "1");
    expect(obstacle(good, fields)).toBeNull();
    const bad = type(good, field, text);
    expect(bad.fieldValues[field.key]?.issue).toMatch(why);
    expect(obstacle(bad, fields)).toEqual({ at: "field", key: field.key });
    expect(obstacle(changeDraft(bad, { kind: "text", text: good.text }), fields)).toBeNull();
  });

  test("is needed where the schema says so", () => {
    expect(obstacle(draftOf({ n: 1 }), fields)).toEqual({ at: "field", key: "words" });
    expect(isMissing(words, [])).toBe(true);
    expect(isMissing(marks, undefined)).toBe(false);
  });
});
