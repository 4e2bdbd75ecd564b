import {
  Ban,
  CircleCheck,
  CircleDashed,
  CircleX,
  Hand,
  LoaderCircle,
  type LucideIcon,
  Moon,
} from "lucide-react";
import type { RunStatus } from "../api/types";

interface Look {
  word: string;
  icon: LucideIcon;
  color: string;
}

/** The one place that says how a status looks: a word, a shape and a colour. */
export const STATUS_LOOKS: Record<RunStatus, Look> = {
  pending: { word: "Pending", icon: CircleDashed, color: "text-dim" },
  running: { word: "Running", icon: LoaderCircle, color: "text-accent" },
  sleeping: { word: "Sleeping", icon: Moon, color: "text-wait" },
  interrupted: { word: "Waiting", icon: Hand, color: "text-warn" },
  completed: { word: "Completed", icon: CircleCheck, color: "text-good" },
  failed: { word: "Failed", icon: CircleX, color: "text-bad" },
  cancelled: { word: "Cancelled", icon: Ban, color: "text-faint" },
};

export function StatusBadge({ status }: { status: RunStatus }) {
  const {
    word,
    icon: Icon,
    color,
  } = STATUS_LOOKS[status] ?? {
    word: status,
    icon: CircleDashed,
    color: "text-dim",
  };
  return (
    <span className={`inline-flex items-center gap-1.5 font-medium whitespace-nowrap ${color}`}>
      <Icon
        aria-hidden
        className={`size-4 shrink-0 ${status === "running" ? "animate-spin [animation-duration:2s]" : ""}`}
      />
      {word}
    </span>
  );
}
