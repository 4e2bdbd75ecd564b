/** How an event name is coloured; the name itself always stands beside the colour. */
const DOTS: Record<string, string> = {
  created: "bg-dim",
  started: "bg-accent",
  node_started: "bg-accent",
  node_update: "bg-good",
  checkpoint: "bg-wait",
  artifact: "bg-wait",
  custom: "bg-ink",
  retry: "bg-warn",
  recovered: "bg-warn",
  completed: "bg-good",
  failed: "bg-bad",
  cancelled: "bg-faint",
};

export function eventDot(event: string): string {
  return DOTS[event] ?? "bg-dim";
}

const LONGEST = 160;

/** `data` on one line, cut where it is long. */
export function preview(data: unknown): string {
  if (data === undefined || data === null) {
    return "";
  }
  if (typeof data === "object") {
    const parts: string[] = [];
    let length = 0;
    for (const [key, value] of Object.entries(data)) {
      const text = `${key}: ${short(value)}`;
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
