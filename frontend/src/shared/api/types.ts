/** The shapes of the REST API by short names. They are generated from its schema (schema.d.ts, by
 * `npm run schema`); only what the schema cannot say is written here. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Run = Schemas["Run"];
export type RunSummary = Schemas["RunSummary"];
export type RunError = Schemas["FullRunError"];
export type RunState = Schemas["State"];
export type WholeFrame = Schemas["WholeFrame"];
export type Checkpoint = Schemas["Checkpoint"];
export type Artifact = Schemas["Artifact"];
export type NewRun = Schemas["NewRun"];
export type Replay = Schemas["Replay"];
export type Issue = Schemas["Fault"];
export type GraphNode = Schemas["GraphNode"];
export type GraphEdge = Schemas["GraphEdge"];

/** One keyset page; `next` and `previous` are addresses. */
export interface Page<T> {
  next?: string | null;
  previous?: string | null;
  results: T[];
}

/** The parts of JSON Schema that a form can be made of. */
export interface JsonSchema {
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  type?: string | string[];
  title?: string;
  description?: string;
  format?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  examples?: unknown[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  items?: JsonSchema;
  minItems?: number;
  minLength?: number;
  maxLength?: number;
}

export type WorkflowSummary = Omit<Schemas["Workflow"], "input_schema"> & {
  input_schema: JsonSchema;
};
export type Workflow = Omit<Schemas["WorkflowDetail"], "input_schema"> & {
  input_schema: JsonSchema;
};
