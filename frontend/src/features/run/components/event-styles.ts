import { type EventName, eventName } from "@/stream/event-kinds";
import type { Frame } from "@/stream/frame";

/** How an event name is coloured; the name itself always stands beside the colour. */
const DOTS: Record<EventName, string> = {
  created: "bg-dim",
  started: "bg-accent",
  node_started: "bg-accent",
  node_update: "bg-good",
  checkpoint: "bg-wait",
  artifact: "bg-wait",
  custom: "bg-ink",
  "custom:messages": "bg-ink",
  interrupted: "bg-warn",
  sleeping: "bg-wait",
  resumed: "bg-accent",
  paused: "bg-warn",
  unpaused: "bg-accent",
  retry: "bg-warn",
  recovered: "bg-warn",
  completed: "bg-good",
  failed: "bg-bad",
  cancelled: "bg-faint",
};

export function eventDot(event: string): string {
  const name = eventName(event);
  return name ? DOTS[name] : "bg-dim";
}

const LONGEST = 160;

/** The data of an event on one line, cut where they are long. */
export function preview({ data, data_url }: Pick<Frame, "data" | "data_url">): string {
  if (data === undefined || data === null) {
    return data_url ? "Large data: open the event to load them" : "";
  }
  if (typeof data === "object") {
    const parts: string[] = [];
    let length = 0;
    for (const key in data) {
      const text = `${key}: ${short((data as Record<string, unknown>)[key])}`;
      parts.push(text);
      length += text.length;
      if (length > LONGEST) {
        break;
      }
    }
    return parts.join(" · ").slice(0, LONGEST);
  }
  return String(data).slice(0, LONGEST);
}

function short(value: unknown): string {
  if (Array.isArray(value)) {
    return value.length > 3 ? `[${value.length}]` : `[${value.map(short).join(", ")}]`;
  }
  if (typeof value === "object" && value !== null) {
    return `{${Object.keys(value).length}}`;
  }
  return String(value).slice(0, LONGEST);
}
