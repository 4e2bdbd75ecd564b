import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { Check, Circle, CircleSlash, LoaderCircle, type LucideIcon, Pause, X } from "lucide-react";
import { isTerminalStatus, type RunStatus } from "@/stream/event-kinds";
import type { NodeProgress, NodeState } from "../model/node-progress";

export type StepNode = Node<
  {
    label: string;
    state: NodeState;
    progress: NodeProgress | undefined;
    end: boolean;
    status: RunStatus;
  },
  "step"
>;

export const NODE_STYLES: Record<NodeState, { icon: LucideIcon; box: string; color: string }> = {
  waiting: { icon: Circle, box: "border-line-strong bg-panel", color: "text-faint" },
  running: {
    icon: LoaderCircle,
    box: "border-accent bg-[#16203a] shadow-[0_0_0_4px_rgb(131_166_255/0.14)]",
    color: "text-accent",
  },
  parked: { icon: Pause, box: "border-warn/60 bg-panel", color: "text-warn" },
  done: { icon: Check, box: "border-good/60 bg-[#0f201b]", color: "text-good" },
  failed: { icon: X, box: "border-bad bg-[#2a1419]", color: "text-bad" },
  stopped: { icon: CircleSlash, box: "border-warn/60 bg-panel", color: "text-warn" },
};

/** One node of the graph, as far as it is. */
export function StepNodeView({ data, selected, id }: NodeProps<StepNode>) {
  const { label, state, progress, end, status } = data;
  const { icon: Icon, box, color } = NODE_STYLES[state];
  return (
    <div
      data-testid={`node-${id}`}
      data-state={state}
      className={`flex size-full items-center gap-2.5 border transition-colors duration-200 ${end ? "justify-center rounded-full px-3" : "rounded-xl px-3"} ${box} ${selected ? "outline-2 outline-offset-2 outline-accent" : ""}`}
    >
      <Handle type="target" position={Position.Top} isConnectable={false} className="opacity-0" />
      {!end && (
        <Icon
          aria-hidden
          className={`size-4 shrink-0 ${color} ${state === "running" ? "animate-spin [animation-duration:2s]" : ""}`}
        />
      )}
      <span className="min-w-0">
        <bdi
          title={label}
          className={`block truncate ${end ? `text-2xs ${state === "done" ? "text-good" : "text-faint"}` : "font-mono text-xs"}`}
        >
          {label}
        </bdi>
        {!end && (
          <span className={`block truncate text-2xs ${color}`}>
            {caption(state, progress, status)}
          </span>
        )}
      </span>
      <Handle
        type="source"
        position={Position.Bottom}
        isConnectable={false}
        className="opacity-0"
      />
    </div>
  );
}

/** The state of a node in words. */
export function caption(
  state: NodeState,
  progress: NodeProgress | undefined,
  status: RunStatus,
): string {
  const parts: string[] = [word(state, status)];
  if (progress && progress.started > 1) {
    parts.push(
      progress.started === progress.done
        ? `×${progress.done}`
        : `${progress.done}/${progress.started}`,
    );
  }
  if (progress && progress.retries > 0) {
    parts.push(progress.retries === 1 ? "1 retry" : `${progress.retries} retries`);
  }
  return parts.join(" · ");
}

/** What a node that has started does in a run of each status. */
const STARTED_NODE: Record<RunStatus, string> = {
  pending: "queued",
  running: "running",
  sleeping: "sleeps",
  interrupted: "asks",
  completed: "stopped",
  failed: "stopped",
  cancelled: "stopped",
};

function word(state: NodeState, status: RunStatus): string {
  if (state === "parked") {
    return STARTED_NODE[status] ?? "stopped";
  }
  return state === "waiting" ? (isTerminalStatus(status) ? "not run" : "not reached") : state;
}
