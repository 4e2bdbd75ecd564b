import { type ReactNode, useId, useState } from "react";
import { parseJson, toJson } from "@/stream/json";
import type { Field } from "../api/fields";

interface FieldProps {
  field: Field;
  value: unknown;
  fault: string;
  onChange: (value: unknown) => void;
}

/** One entry of the payload: label, control, explanation, and what the server said about it. */
export function PayloadField({ field, value, fault, onChange }: FieldProps) {
  const id = useId();
  const [own, setOwn] = useState("");
  const said = own || fault;
  const control = {
    id,
    "aria-describedby": `${id}-about`,
    "aria-invalid": said !== "",
    "aria-required": field.required,
  };
  return (
    <Labelled
      id={id}
      label={field.label}
      optional={!field.required && field.kind !== "boolean"}
      aside={
        field.placeholder && field.kind === "text" && !value ? (
          <button
            type="button"
            onClick={() => onChange(field.placeholder)}
            className="rounded text-xs font-medium text-accent hover:underline"
          >
            Use the example
          </button>
        ) : null
      }
      about={field.description}
      fault={said}
    >
      <Control field={field} value={value} onChange={onChange} onFault={setOwn} control={control} />
    </Labelled>
  );
}

interface LabelledProps {
  id: string;
  label: string;
  optional?: boolean;
  aside?: ReactNode;
  about?: string;
  fault: string;
  children: ReactNode;
}

export function Labelled({ id, label, optional, aside, about, fault, children }: LabelledProps) {
  return (
    <div className="flex flex-col gap-1.5">
      <div className="flex items-baseline justify-between gap-3">
        <label htmlFor={id} className="font-medium">
          {label}
          {optional && <span className="ml-2 text-xs font-normal text-faint">optional</span>}
        </label>
        {aside}
      </div>
      {children}
      <p id={`${id}-about`} className="min-h-4 text-xs text-faint">
        {fault ? (
          <span role="alert" className="text-bad">
            {fault}
          </span>
        ) : (
          about
        )}
      </p>
    </div>
  );
}

interface ControlProps {
  field: Field;
  value: unknown;
  onChange: (value: unknown) => void;
  onFault: (fault: string) => void;
  control: Record<string, unknown>;
}

function Control({ field, value, onChange, onFault, control }: ControlProps) {
  switch (field.kind) {
    case "boolean":
      return (
        <input
          {...control}
          type="checkbox"
          checked={value === true}
          onChange={({ target }) => onChange(target.checked)}
          className="size-4 self-start accent-accent-deep"
        />
      );
    case "choice":
      return <Choice field={field} value={value} onChange={onChange} control={control} />;
    case "number":
    case "integer":
      return <NumberInput field={field} value={value} onChange={onChange} control={control} />;
    case "json":
      return <JsonInput value={value} onChange={onChange} onFault={onFault} control={control} />;
    case "line":
      return (
        <input
          {...control}
          value={asText(value)}
          placeholder={field.placeholder}
          onChange={({ target }) => onChange(textOr(target.value, field))}
          className="field"
        />
      );
    case "text":
      return (
        <textarea
          {...control}
          value={asText(value)}
          placeholder={field.placeholder}
          onChange={({ target }) => onChange(textOr(target.value, field))}
          className="field h-44 resize-y"
        />
      );
  }
}

function asText(value: unknown): string {
  return value === undefined || value === null
    ? ""
    : typeof value === "string"
      ? value
      : toJson(value);
}

/** An optional text that is emptied is not sent at all. */
function textOr(text: string, field: Field): string | undefined {
  return text === "" && !field.required ? undefined : text;
}

type InputProps = Pick<ControlProps, "value" | "onChange" | "control">;

function Choice({ field, value, onChange, control }: InputProps & { field: Field }) {
  const at = field.choices.indexOf(value);
  return (
    <select
      {...control}
      value={at}
      onChange={({ target }) => onChange(field.choices[Number(target.value)])}
      className="field"
    >
      {!field.required && <option value={-1}>(not set)</option>}
      {field.choices.map((choice, index) => (
        <option key={asText(choice)} value={index}>
          {asText(choice)}
        </option>
      ))}
    </select>
  );
}

/** Sends what is a number as one; anything else goes as it was typed, for the server to judge. */
function NumberInput({ field, value, onChange, control }: InputProps & { field: Field }) {
  const [text, setText] = useState(asText(value));
  const parsed = numberIn(text);
  const shown = value === parsed || (text === "" && value === undefined) ? text : asText(value);
  return (
    <input
      {...control}
      inputMode={field.kind === "integer" ? "numeric" : "decimal"}
      value={shown}
      placeholder={field.placeholder}
      onChange={({ target }) => {
        setText(target.value);
        onChange(numberIn(target.value));
      }}
      className="field max-w-48 tabular-nums"
    />
  );
}

function numberIn(text: string): unknown {
  const trimmed = text.trim();
  if (trimmed === "") {
    return undefined;
  }
  try {
    const value = parseJson(trimmed);
    return typeof value === "number" || typeof value === "bigint" ? value : text;
  } catch {
    return text;
  }
}

function JsonInput({
  value,
  onChange,
  onFault,
  control,
}: InputProps & Pick<ControlProps, "onFault">) {
  const [typed, setTyped] = useState<{ text: string; value: unknown } | null>(null);
  const shown =
    typed && typed.value === value ? typed.text : value === undefined ? "" : toJson(value, 2);
  const type = (text: string) => {
    let next: unknown;
    try {
      next = text.trim() === "" ? undefined : parseJson(text);
      onFault("");
      onChange(next);
    } catch {
      next = value;
      onFault("This is not JSON yet; the last valid value is kept.");
    }
    setTyped({ text, value: next });
  };
  return (
    <textarea
      {...control}
      value={shown}
      spellCheck={false}
      placeholder="JSON"
      onChange={({ target }) => type(target.value)}
      className="field h-28 resize-y font-mono text-xs"
    />
  );
}
