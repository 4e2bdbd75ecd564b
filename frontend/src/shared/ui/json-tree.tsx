import { ChevronRight } from "lucide-react";
import { useState } from "react";

const OPEN_DEPTH = 2;
const OPEN_SIZE = 20;
const PAGE = 100;
const LONG_TEXT = 300;

/** A JSON value as a tree whose branches open and close. Branches are rendered when they are open,
 * long lists a hundred at a time, long texts in part: a value of many megabytes stays usable. */
export function JsonTree({ value, label }: { value: unknown; label: string }) {
  return (
    <figure aria-label={label} className="font-mono text-xs leading-5 break-words">
      {isBranch(value) ? <Entries value={value} depth={0} /> : <Leaf value={value} />}
    </figure>
  );
}

function isBranch(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function entriesOf(value: object): [string, unknown][] {
  return Object.entries(value);
}

function Entries({ value, depth }: { value: object; depth: number }) {
  const [shown, setShown] = useState(PAGE);
  const entries = entriesOf(value);
  if (entries.length === 0) {
    return <span className="text-faint">{Array.isArray(value) ? "[ ]" : "{ }"}</span>;
  }
  return (
    <ul className={depth > 0 ? "ml-1.5 border-l border-line pl-3.5" : ""}>
      {entries.slice(0, shown).map(([key, child]) => (
        <Entry key={key} name={key} value={child} depth={depth} />
      ))}
      {entries.length > shown && (
        <li>
          <button
            type="button"
            className="rounded text-accent hover:underline"
            onClick={() => setShown(shown + PAGE * 10)}
          >
            {entries.length - shown} more…
          </button>
        </li>
      )}
    </ul>
  );
}

function Entry({ name, value, depth }: { name: string; value: unknown; depth: number }) {
  const branch = isBranch(value);
  const size = branch ? Object.keys(value).length : 0;
  const [open, setOpen] = useState(branch && depth + 1 < OPEN_DEPTH && size <= OPEN_SIZE);
  if (!branch || size === 0) {
    return (
      <li className="pl-4.5">
        <bdi className="text-dim">{name}</bdi>
        <span className="text-faint">: </span>
        {branch ? <Entries value={value} depth={depth + 1} /> : <Leaf value={value} />}
      </li>
    );
  }
  return (
    <li>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="inline-flex max-w-full items-center gap-1 rounded text-left hover:bg-hover"
      >
        <ChevronRight
          aria-hidden
          className={`size-3.5 shrink-0 text-faint transition-transform ${open ? "rotate-90" : ""}`}
        />
        <bdi className="text-dim">{name}</bdi>
        <span className="text-faint">{Array.isArray(value) ? `[${size}]` : `{${size}}`}</span>
      </button>
      {open && <Entries value={value} depth={depth + 1} />}
    </li>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === "string") {
    return <Text text={value} />;
  }
  if (typeof value === "number" || typeof value === "bigint") {
    return <span className="text-accent tabular-nums">{String(value)}</span>;
  }
  return <span className="text-wait">{String(value)}</span>;
}

function Text({ text }: { text: string }) {
  const [whole, setWhole] = useState(false);
  const long = text.length > LONG_TEXT;
  return (
    <>
      <span className="whitespace-pre-wrap text-good/90">
        "<bdi>{long && !whole ? text.slice(0, LONG_TEXT) : text}</bdi>"
      </span>
      {long && (
        <button
          type="button"
          className="ml-1 rounded text-accent hover:underline"
          onClick={() => setWhole(!whole)}
        >
          {whole ? "less" : `… all ${text.length.toLocaleString("en")} characters`}
        </button>
      )}
    </>
  );
}
