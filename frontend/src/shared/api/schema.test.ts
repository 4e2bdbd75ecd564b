import { readFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";
import { expect, test } from "vitest";

test("schema.d.ts is what openapi.json generates: else `npm run schema`", async () => {
  const generated = astToString(await openapiTS(new URL("../../../openapi.json", import.meta.url)));
  const committed = await readFile(new URL("./schema.d.ts", import.meta.url), "utf8");
  expect(committed.slice(committed.indexOf("export"))).toBe(generated);
});
