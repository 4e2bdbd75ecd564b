import type { Fault } from "@/shared/api/types";

/** What is said about the value at `pointer` or inside it, as one text; empty when nothing is. */
export function faultAt(faults: readonly Fault[], pointer: string): string {
  return faults
    .filter(({ at }) => at === pointer || at.startsWith(`${pointer}/`))
    .map(({ detail }) => detail)
    .join(" ");
}

/** Those faults that no field of `pointers` shows. */
export function faultsElsewhere(faults: readonly Fault[], pointers: readonly string[]): Fault[] {
  return faults.filter((fault) => pointers.every((pointer) => faultAt([fault], pointer) === ""));
}
