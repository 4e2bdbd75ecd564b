/** Writes the event vocabulary of openapi.json as TypeScript to the standard output: `npm run schema`
 * puts it into src/stream/event-table.ts, and a test compares the two. */
import { readFileSync } from "node:fs";

const openapi = JSON.parse(readFileSync(new URL("./openapi.json", import.meta.url), "utf8"));
const { EventName, RunStatus } = openapi.components.schemas;

process.stdout.write(`/** Written by \`npm run schema\` from openapi.json; do not edit. The server's tables are \`KINDS\` in
 * runs/engine/events.py and \`RunStatus\` in runs/models. */
export const RUN_STATUSES = ${JSON.stringify(RunStatus.enum, null, 2)} as const;

export const EVENT_TABLE = ${JSON.stringify(EventName["x-event-kinds"], null, 2)} as const;
`);
