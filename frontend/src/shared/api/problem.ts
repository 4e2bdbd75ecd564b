import type { Issue } from "./types";

/**
 * A request that did not succeed. `status` 0 means that no answer came at all; otherwise it is
 * what the server said (RFC 9457), `code` being the part for programs.
 */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly issues: Issue[];

  constructor(status: number, code: string, title: string, detail: string, issues: Issue[] = []) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.title = title;
    this.issues = issues;
  }

  static unreachable(): Problem {
    return new Problem(
      0,
      "unreachable",
      "The server does not answer",
      "It may be restarting. The dashboard goes on by itself as soon as it is back.",
    );
  }

  static of(error: unknown): Problem {
    return error instanceof Problem
      ? error
      : new Problem(0, "unexpected", "Something went wrong here", String(error));
  }
}

function isIssue(value: unknown): value is Issue {
  const issue = value as Partial<Issue> | null;
  return typeof issue?.at === "string" && typeof issue.detail === "string";
}

/** The problem that a response describes; also for answers that are not problem details, such as a
 * proxy's own error page. */
export function problemFrom(status: number, statusText: string, body: unknown): Problem {
  const details = (typeof body === "object" && body !== null ? body : {}) as Record<
    string,
    unknown
  >;
  const text = (key: string, otherwise: string): string =>
    typeof details[key] === "string" && details[key] !== "" ? (details[key] as string) : otherwise;
  return new Problem(
    status,
    text("code", "http_error"),
    text("title", statusText || `The server answered ${status}`),
    text("detail", `The server answered ${status} ${statusText}`.trim()),
    Array.isArray(details.errors) ? details.errors.filter(isIssue) : [],
  );
}
