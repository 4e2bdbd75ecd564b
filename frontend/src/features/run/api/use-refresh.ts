import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { keys } from "@/shared/api/queries";

const OFTEN_MS = 400;

/** Reads the answers under `part` of a run again when `count` grew: at most a few times a second,
 * one at a time, and once more after the last. */
export function useRefresh(runId: string, part: string, count: number): void {
  const client = useQueryClient();
  const memory = useRef({ target: 0, requested: 0, busy: false });
  useEffect(() => {
    const it = memory.current;
    it.target = count;
    const work = async () => {
      it.busy = true;
      while (it.requested < it.target) {
        it.requested = it.target;
        await client.invalidateQueries({ queryKey: [...keys.run(runId), part] });
        await new Promise((resolve) => setTimeout(resolve, OFTEN_MS));
      }
      it.busy = false;
    };
    if (!it.busy) {
      work();
    }
  }, [client, runId, part, count]);
}
