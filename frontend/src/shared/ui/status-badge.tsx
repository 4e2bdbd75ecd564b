import {
  Ban,
  CircleCheck,
  CircleDashed,
  CirclePause,
  CircleX,
  Hand,
  LoaderCircle,
  type LucideIcon,
  Moon,
} from "lucide-react";
import { isTerminalStatus, type RunStatus } from "@/stream/event-kinds";

interface StatusStyle {
  word: string;
  icon: LucideIcon;
  color: string;
}

/** The one place that says how a status looks: a word, a shape and a colour. */
export const STATUS_STYLES: Record<RunStatus, StatusStyle> = {
  pending: { word: "Pending", icon: CircleDashed, color: "text-dim" },
  running: { word: "Running", icon: LoaderCircle, color: "text-accent" },
  sleeping: { word: "Sleeping", icon: Moon, color: "text-wait" },
  interrupted: { word: "Waiting", icon: Hand, color: "text-warn" },
  completed: { word: "Completed", icon: CircleCheck, color: "text-good" },
  failed: { word: "Failed", icon: CircleX, color: "text-bad" },
  cancelled: { word: "Cancelled", icon: Ban, color: "text-faint" },
};

const PAUSED: StatusStyle = { word: "Paused", icon: CirclePause, color: "text-warn" };

const UNKNOWN = { icon: CircleDashed, color: "text-dim" };

/** How the status of a run looks. A run that is `paused` and pending has no other reason to wait. */
export function statusStyle(status: RunStatus, paused: boolean): StatusStyle {
  return paused && status === "pending"
    ? PAUSED
    : (STATUS_STYLES[status] ?? { ...UNKNOWN, word: status });
}

/** What a run is doing, in a word. A run that is `paused` in any other status than pending has a
 * mark beside the word, until it has ended. */
export function StatusBadge({ status, paused = false }: { status: RunStatus; paused?: boolean }) {
  const { word, icon: Icon, color } = statusStyle(status, paused);
  return (
    <span className={`inline-flex items-center gap-1.5 font-medium whitespace-nowrap ${color}`}>
      <Icon
        aria-hidden
        className={`size-4 shrink-0 ${status === "running" ? "animate-spin [animation-duration:2s]" : ""}`}
      />
      {word}
      {paused && status !== "pending" && !isTerminalStatus(status) && (
        <CirclePause aria-label="paused" className="size-3.5 shrink-0 text-warn" />
      )}
    </span>
  );
}
