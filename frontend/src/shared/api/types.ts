/** What the server's REST API says, as far as the dashboard reads it. */

export const RUN_STATUSES = [
  "pending",
  "running",
  "sleeping",
  "interrupted",
  "completed",
  "failed",
  "cancelled",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

export interface RunError {
  type: string;
  message: string;
  node?: string | null;
  traceback?: string | null;
}

/** A run as lists and the feed show it. */
export interface RunSummary {
  id: string;
  run_id: string;
  thread: string;
  workflow: string;
  workflow_version: string;
  name: string;
  status: RunStatus;
  tags: string[];
  error: RunError | null;
  created_at: string;
  updated_at: string;
  started_at: string | null;
  finished_at: string | null;
  duration_seconds: number | null;
  attempt: number;
  seq: number;
  step: number;
  checkpoint_id: string | null;
  source_run: string | null;
}

export interface Run extends RunSummary {
  payload: unknown;
  metadata: Record<string, unknown>;
}

/** One keyset page; `next` and `previous` are addresses. */
export interface Page<T> {
  next: string | null;
  previous: string | null;
  results: T[];
}

export interface RunState {
  run_id: string;
  checkpoint_id: string | null;
  /** Null before the first checkpoint. */
  step: number | null;
  values: Record<string, unknown>;
  next: string[];
}

export interface Checkpoint {
  id: string;
  step: number;
  source: string;
  parent_id: string | null;
  namespace: string;
  next: string[];
  created_at: string;
}

export interface Artifact {
  id: string;
  artifact_id: string;
  run: string;
  node: string;
  name: string;
  media_type: string;
  size: number;
  sha256: string;
  created_at: string;
  url: string;
}

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
  allOf?: JsonSchema[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
}

export interface WorkflowSummary {
  name: string;
  version: string;
  description: string;
  input_schema: JsonSchema;
}

export interface GraphNode {
  id: string;
  label: string;
  kind: string;
}

export interface GraphEdge {
  source: string;
  target: string;
  conditional: boolean;
  label?: string | null;
}

export interface Workflow extends WorkflowSummary {
  graph: { nodes: GraphNode[]; edges: GraphEdge[] };
  mermaid: string;
}
