import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";

/** An id that a click copies; its beginning (when) and its end (which) are shown. */
export function CopyId({ id, label }: { id: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) {
      return;
    }
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const Icon = copied ? Check : Copy;
  return (
    <button
      type="button"
      title={`${id} (click to copy)`}
      onClick={() => navigator.clipboard.writeText(id).then(() => setCopied(true))}
      className="group inline-flex min-w-0 items-center gap-1.5 rounded font-mono text-xs text-dim hover:text-ink"
    >
      <span className="sr-only">Copy {label} </span>
      <span className="whitespace-nowrap">
        {id.length > 18 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id}
      </span>
      <Icon
        aria-hidden
        className={`size-3.5 shrink-0 ${copied ? "text-good" : "text-faint group-hover:text-ink"}`}
      />
      <span role="status" className="sr-only">
        {copied ? "copied" : ""}
      </span>
    </button>
  );
}
