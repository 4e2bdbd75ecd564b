import type { JsonSchema } from "@/shared/api/types";

export type FieldKind =
  | "line"
  | "text"
  | "number"
  | "integer"
  | "boolean"
  | "choice"
  | "strings"
  | "numbers"
  | "integers"
  | "json";

/** One entry of the payload, as a form shows it. */
export interface Field {
  key: string;
  /** Where the server finds it: a JSON pointer into the request. */
  pointer: string;
  label: string;
  description: string;
  kind: FieldKind;
  required: boolean;
  /** Whether an empty text or list does not do. */
  filled: boolean;
  initial: unknown;
  choices: unknown[];
  placeholder: string;
}

const SHORT_TEXT = 120;

/** The fields of a payload that fits `schema`; null when it is no plain object, so that JSON is the
 * only way to write it. */
export function fieldsOf(schema: JsonSchema): Field[] | null {
  const root = resolve(schema, schema);
  if (!root.properties || Object.keys(root.properties).length === 0) {
    return null;
  }
  const required = new Set(root.required);
  return Object.entries(root.properties).map(([key, property]) =>
    fieldOf(key, resolve(property, schema), required.has(key), schema),
  );
}

function fieldOf(key: string, schema: JsonSchema, required: boolean, root: JsonSchema): Field {
  const kind = kindOf(schema, root);
  const example = schema.examples?.[0];
  return {
    key,
    pointer: `/payload/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`,
    label: schema.title ?? key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " "),
    description: schema.description ?? "",
    kind,
    required,
    filled: (schema.minLength ?? 0) > 0 || (schema.minItems ?? 0) > 0,
    initial: initialOf(schema, kind, required),
    choices: schema.enum ?? [],
    placeholder: typeof example === "string" || typeof example === "number" ? String(example) : "",
  };
}

function kindOf(schema: JsonSchema, root: JsonSchema): FieldKind {
  if (schema.enum) {
    return "choice";
  }
  switch (schema.type) {
    case "string":
      return isLine(schema) ? "line" : "text";
    case "number":
    case "integer":
    case "boolean":
      return schema.type;
    case "array":
      return listKind(schema.items ? resolve(schema.items, root) : {});
    default:
      return "json";
  }
}

const LISTS: Record<string, FieldKind> = {
  string: "strings",
  number: "numbers",
  integer: "integers",
};

function listKind({ type, enum: choices }: JsonSchema): FieldKind {
  return (!choices && typeof type === "string" && LISTS[type]) || "json";
}

function isLine({ format, maxLength }: JsonSchema): boolean {
  return format === undefined
    ? maxLength !== undefined && maxLength <= SHORT_TEXT
    : format !== "textarea";
}

function initialOf(schema: JsonSchema, kind: FieldKind, required: boolean): unknown {
  if (schema.default !== undefined && schema.default !== null) {
    return schema.default;
  }
  if (schema.const !== undefined) {
    return schema.const;
  }
  if (!required) {
    return undefined;
  }
  const empty: Partial<Record<FieldKind, unknown>> = {
    line: "",
    text: "",
    boolean: false,
    strings: [],
    numbers: [],
    integers: [],
  };
  return kind === "choice" ? schema.enum?.[0] : empty[kind];
}

/** `schema` without the indirections that generators make: references, and "this or null". */
function resolve(schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema {
  if (depth > 8) {
    return schema;
  }
  if (schema.$ref?.startsWith("#/$defs/")) {
    const target = root.$defs?.[schema.$ref.slice("#/$defs/".length)];
    return target ? resolve({ ...target, ...described(schema) }, root, depth + 1) : schema;
  }
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((type) => type !== "null");
    return types.length === 1 && types[0] ? { ...schema, type: types[0] } : schema;
  }
  const choices = (schema.anyOf ?? schema.oneOf)?.filter((choice) => choice.type !== "null");
  if (!schema.properties && choices?.length === 1 && choices[0]) {
    return resolve({ ...choices[0], ...described(schema) }, root, depth + 1);
  }
  return schema;
}

function described({ title, description, default: initial }: JsonSchema): JsonSchema {
  return {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(initial === undefined ? {} : { default: initial }),
  };
}

/** What the form begins with. */
export function initialPayload(fields: Field[] | null): Record<string, unknown> {
  const set = fields?.filter(({ initial }) => initial !== undefined) ?? [];
  return Object.fromEntries(set.map(({ key, initial }) => [key, initial]));
}
