/** A thread of its own for `layoutOf`: a few hundred edges may take it seconds. */
import type { Workflow } from "@/shared/api/types";
import { layoutOf } from "./graph-layout";

self.onmessage = ({ data }: MessageEvent<Workflow["graph"]>) => {
  self.postMessage(layoutOf(data));
};
