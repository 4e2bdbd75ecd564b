import { useId } from "react";
import type { WorkflowSummary } from "@/shared/api/types";

interface WorkflowPickerProps {
  workflows: WorkflowSummary[];
  selected: string;
  onSelect: (name: string) => void;
}

/** Which workflow to run: one of a group of radio buttons with their descriptions. */
export function WorkflowPicker({ workflows, selected, onSelect }: WorkflowPickerProps) {
  const id = useId();
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className="mb-2 font-medium">Workflow</legend>
      {workflows.map(({ name, version, description }) => (
        <label
          key={name}
          className="flex cursor-pointer gap-3 rounded-xl border border-line bg-panel p-3.5 transition-colors hover:border-line-strong has-checked:border-accent has-checked:bg-raised has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent"
        >
          <input
            type="radio"
            name="workflow"
            value={name}
            aria-labelledby={`${id}-${name}`}
            aria-describedby={`${id}-${name}-about`}
            checked={name === selected}
            onChange={() => onSelect(name)}
            className="mt-0.5 size-4 shrink-0 appearance-none rounded-full border border-line-strong bg-canvas outline-none checked:border-[5px] checked:border-accent"
          />
          <span className="min-w-0">
            <span className="flex items-baseline gap-2">
              <span id={`${id}-${name}`} className="truncate font-mono text-sm font-medium">
                {name}
              </span>
              <span className="text-2xs text-faint">v{version}</span>
            </span>
            <span id={`${id}-${name}-about`} className="mt-1 line-clamp-3 block text-xs text-dim">
              {description}
            </span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
