import type { ReactNode } from "react";
import { toJson } from "@/stream/json";
import { type FieldValue, type FieldValueKind, fieldValueOf } from "../form/field-value";
import type { Field, FieldKind } from "../form/fields";

interface FieldProps {
  id: string;
  field: Field;
  value: unknown;
  /** What was typed, where that is not just the value. */
  fieldValue: FieldValue | undefined;
  issue: string;
  onChange: (value: unknown) => void;
  onType: (as: FieldValueKind, text: string) => void;
}

/** One entry of the payload: label, control, explanation, and what is wrong with it. */
export function PayloadField(props: FieldProps) {
  const { id, field, value, issue, onChange } = props;
  const control = {
    id,
    "aria-describedby": `${id}-about`,
    "aria-invalid": issue !== "",
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
      about={isList(field.kind) ? `${field.description} One per line.`.trim() : field.description}
      issue={issue}
    >
      <Control {...props} control={control} />
    </Labelled>
  );
}

interface LabelledProps {
  id: string;
  label: string;
  optional?: boolean;
  aside?: ReactNode;
  about?: string;
  issue: string;
  children: ReactNode;
}

export function Labelled({ id, label, optional, aside, about, issue, children }: LabelledProps) {
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
        {issue ? (
          <span role="alert" className="text-bad">
            {issue}
          </span>
        ) : (
          about
        )}
      </p>
    </div>
  );
}

function isList(kind: FieldKind): boolean {
  return kind === "strings" || kind === "numbers" || kind === "integers";
}

type ControlProps = FieldProps & { control: Record<string, unknown> };

function Control({ field, value, fieldValue, onChange, onType, control }: ControlProps) {
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
    default:
      return (
        <Typed
          fieldValue={fieldValue ?? fieldValueOf(field.kind, value)}
          placeholder={field.placeholder}
          onType={onType}
          control={control}
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

type ChoiceProps = Pick<ControlProps, "field" | "value" | "onChange" | "control">;

function Choice({ field, value, onChange, control }: ChoiceProps) {
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

interface TypedProps {
  fieldValue: FieldValue;
  placeholder: string;
  onType: (as: FieldValueKind, text: string) => void;
  control: Record<string, unknown>;
}

/** Text that is read as a number, a list or JSON; what cannot be read stays as it was typed. */
function Typed({ fieldValue: { kind, text }, placeholder, onType, control }: TypedProps) {
  if (kind === "number" || kind === "integer") {
    return (
      <input
        {...control}
        inputMode={kind === "integer" ? "numeric" : "decimal"}
        value={text}
        placeholder={placeholder}
        onChange={({ target }) => onType(kind, target.value)}
        className="field max-w-48 tabular-nums"
      />
    );
  }
  return (
    <textarea
      {...control}
      value={text}
      spellCheck={kind === "strings"}
      placeholder={kind === "json" ? "JSON" : placeholder}
      onChange={({ target }) => onType(kind, target.value)}
      className={`field h-28 resize-y ${kind === "strings" ? "" : "font-mono text-xs"}`}
    />
  );
}
