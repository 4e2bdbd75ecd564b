import { useNavigate } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { type FormEvent, useId, useMemo, useState } from "react";
import { flushSync } from "react-dom";
import { Problem } from "@/shared/api/problem";
import type { Run, WorkflowSummary } from "@/shared/api/types";
import { Button } from "@/shared/ui/button";
import { ProblemNotice } from "@/shared/ui/notice";
import { Tabs } from "@/shared/ui/tabs";
import { useCreateRun } from "../api/create-run";
import { isMissing, obstacle, useDraft } from "../form/draft";
import { type Field, fieldsOf, initialPayload } from "../form/fields";
import { issueAt, issuesElsewhere } from "../form/issues";
import { Labelled, PayloadField } from "./payload-field";

interface RunFormProps {
  workflow: WorkflowSummary;
  /** The run whose name, payload and tags this one begins with. */
  like: Run | undefined;
}

/** Name, tags and payload of a new run of `workflow`; goes to the run's page once it exists. */
export function RunForm({ workflow, like }: RunFormProps) {
  const fields = useMemo(() => fieldsOf(workflow.input_schema), [workflow]);
  const [draft, change] = useDraft(() => payloadOf(like) ?? initialPayload(fields));
  const [tab, setTab] = useState<"form" | "json">(fields ? "form" : "json");
  const [name, setName] = useState(like?.name ?? "");
  const [tags, setTags] = useState(like?.tags.join(", ") ?? "");
  const [checked, setChecked] = useState(false);
  const create = useCreateRun();
  const navigate = useNavigate();
  const id = useId();

  const problem = create.error ? Problem.of(create.error) : null;
  const issues = problem?.issues ?? [];
  // An issue is about one value: it is dropped when that value changes.
  const sent = create.variables?.payload;
  const unchanged = sent === draft.values;
  const pointers = [
    "/name",
    "/tags",
    ...(tab === "json" ? ["/payload"] : (fields ?? []).map(({ pointer }) => pointer)),
  ];
  const typed = (fields ?? []).filter(({ key }) => draft.fieldValues[key]?.issue);
  const issueOf = (field: Field): string => {
    const { key, pointer } = field;
    const value = draft.values[key];
    if (draft.fieldValues[key]?.issue) {
      return draft.fieldValues[key].issue;
    }
    if (checked && isMissing(field, value)) {
      return "This is needed.";
    }
    return sent?.[key] === value ? issueAt(issues, pointer) : "";
  };
  const elsewhere = issuesElsewhere(issues, pointers);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setChecked(true);
    // What JSON lacks is in the answer of the server.
    const stuck = obstacle(draft, tab === "form" || draft.broken ? (fields ?? []) : typed);
    if (stuck) {
      flushSync(() => setTab(stuck.at === "json" ? "json" : "form"));
      document
        .getElementById(stuck.at === "json" ? `${id}-json` : `${id}-of-${stuck.key}`)
        ?.focus();
      return;
    }
    create.mutate(
      {
        workflow: workflow.name,
        name: name.trim() || workflow.name,
        payload: draft.values,
        tags: tagsIn(tags),
      },
      { onSuccess: (run) => navigate({ to: "/runs/$runId", params: { runId: run.id } }) },
    );
  };

  return (
    <form
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          submit(event);
        }
      }}
      className="flex min-w-0 flex-col gap-3"
      noValidate
    >
      {problem && (unchanged || issues.length === 0) && (
        <Refusal problem={problem} issues={elsewhere} />
      )}
      <div className="grid gap-x-4 gap-y-2 sm:grid-cols-2">
        <Labelled id={`${id}-name`} label="Name" optional issue={issueAt(issues, "/name")}>
          <input
            id={`${id}-name`}
            value={name}
            placeholder={workflow.name}
            onChange={({ target }) => setName(target.value)}
            className="field"
          />
        </Labelled>
        <Labelled id={`${id}-tags`} label="Tags" optional issue={issueAt(issues, "/tags")}>
          <input
            id={`${id}-tags`}
            value={tags}
            placeholder="separated by commas"
            onChange={({ target }) => setTags(target.value)}
            className="field"
          />
        </Labelled>
      </div>
      <div className="overflow-hidden rounded-xl border border-line bg-panel">
        <Tabs
          label="Payload"
          tabs={fields ? PAYLOAD_TABS : PAYLOAD_TABS.slice(1)}
          selected={tab}
          onSelect={setTab}
        >
          <div className="flex flex-col gap-3 p-4">
            {tab === "form" ? (
              <>
                {draft.broken && (
                  <p role="alert" className="text-xs text-bad">
                    The JSON tab holds text that is not a payload. Changing a field here replaces
                    it.
                  </p>
                )}
                {fields?.map((field) => (
                  <PayloadField
                    key={field.key}
                    id={`${id}-of-${field.key}`}
                    field={field}
                    value={draft.values[field.key]}
                    fieldValue={draft.fieldValues[field.key]}
                    issue={issueOf(field)}
                    onChange={(value) => change({ kind: "field", key: field.key, value })}
                    onType={(as, text) => change({ kind: "field-value", field, as, text })}
                  />
                ))}
              </>
            ) : (
              <Labelled
                id={`${id}-json`}
                label="Payload as JSON"
                issue={draft.broken ?? (unchanged ? issueAt(issues, "/payload") : "")}
              >
                {typed.length > 0 && (
                  <p role="alert" className="text-xs text-bad">
                    The form holds text that is not a value in “
                    {typed.map(({ label }) => label).join("”, “")}”; it is not in here. Changing
                    this text replaces it.
                  </p>
                )}
                <textarea
                  id={`${id}-json`}
                  value={draft.text}
                  spellCheck={false}
                  aria-invalid={draft.broken !== null}
                  aria-describedby={`${id}-json-about`}
                  onChange={({ target }) => change({ kind: "text", text: target.value })}
                  className="field h-72 resize-y font-mono text-xs leading-5"
                />
              </Labelled>
            )}
          </div>
        </Tabs>
      </div>
      <div className="flex items-center gap-4">
        <Button look="primary" type="submit" disabled={create.isPending}>
          <Play aria-hidden className="size-4" />
          {create.isPending ? "Starting…" : "Start run"}
        </Button>
        <span className="hidden text-xs text-faint sm:inline">Ctrl + Enter starts it too</span>
      </div>
    </form>
  );
}

const PAYLOAD_TABS = [
  { key: "form", label: "Form" },
  { key: "json", label: "JSON" },
] as const;

function Refusal({
  problem,
  issues,
}: {
  problem: Problem;
  issues: { at: string; detail: string }[];
}) {
  return (
    <div className="flex flex-col gap-2">
      <ProblemNotice error={problem} title="The run was not started" />
      {issues.length > 0 && (
        <ul className="list-disc pl-8 text-xs text-bad">
          {issues.map(({ at, detail }) => (
            <li key={at + detail}>
              {at && <code className="mr-2 text-dim">{at}</code>}
              {detail}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function payloadOf(run: Run | undefined): Record<string, unknown> | null {
  const payload = run?.payload;
  return typeof payload === "object" && payload !== null && !Array.isArray(payload)
    ? (payload as Record<string, unknown>)
    : null;
}

function tagsIn(text: string): string[] {
  return [...new Set(text.split(",").map((tag) => tag.trim()))].filter(Boolean);
}
