import { useQuery } from "@tanstack/react-query";
import { Search, X } from "lucide-react";
import { useEffect, useState } from "react";
import { workflowsQuery } from "@/shared/api/queries";
import { buttonClass } from "@/shared/ui/button";
import { STATUS_STYLES } from "@/shared/ui/status-badge";
import { RUN_STATUSES, type RunStatus } from "@/stream/event-kinds";
import type { RunFilters } from "../search";

interface FilterBarProps {
  filters: RunFilters;
  onChange: (filters: RunFilters) => void;
}

const TYPING_MS = 250;

/** Status, workflow and text: what the list is narrowed to. */
export function FilterBar({ filters, onChange }: FilterBarProps) {
  const { data: workflows } = useQuery(workflowsQuery());
  const names = new Set(workflows?.map(({ name }) => name));
  if (filters.workflow) {
    names.add(filters.workflow);
  }
  const set = (change: Partial<RunFilters>) => onChange({ ...filters, ...change });
  const filtered = Boolean(filters.status || filters.workflow || filters.q);
  return (
    <search className="flex flex-wrap items-center gap-2">
      <SearchField value={filters.q ?? ""} onChange={(q) => set({ q: q || undefined })} />
      <select
        aria-label="Status"
        value={filters.status ?? ""}
        onChange={({ target }) => set({ status: (target.value as RunStatus) || undefined })}
        className="field h-9 w-auto flex-1 py-0 sm:flex-none"
      >
        <option value="">Any status</option>
        {RUN_STATUSES.map((status) => (
          <option key={status} value={status}>
            {STATUS_STYLES[status].word}
          </option>
        ))}
      </select>
      <select
        aria-label="Workflow"
        value={filters.workflow ?? ""}
        onChange={({ target }) => set({ workflow: target.value || undefined })}
        className="field h-9 w-auto max-w-56 flex-1 py-0 sm:flex-none"
      >
        <option value="">Any workflow</option>
        {[...names].sort().map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      {filtered && (
        <button type="button" className={buttonClass("quiet")} onClick={() => onChange({})}>
          <X aria-hidden className="size-4" />
          Clear
        </button>
      )}
    </search>
  );
}

/** Text that is searched for once the typing pauses. */
function SearchField({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(value);
  const [applied, setApplied] = useState(value);
  if (value !== applied) {
    // The address changed by other means: the back button, or "Clear".
    setApplied(value);
    setText(value);
  }
  useEffect(() => {
    const next = text.trim();
    if (next === applied) {
      return;
    }
    const timer = setTimeout(() => {
      setApplied(next);
      onChange(next);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, applied, onChange]);
  return (
    <label className="relative w-full sm:w-72">
      <span className="sr-only">Search runs by part of the name or a whole id</span>
      <Search
        aria-hidden
        className="pointer-events-none absolute top-2.5 left-3 size-4 text-faint"
      />
      <input
        type="search"
        value={text}
        placeholder="Part of the name, or a whole run id"
        onChange={({ target }) => setText(target.value)}
        className="field h-9 py-0 pl-9"
      />
    </label>
  );
}
