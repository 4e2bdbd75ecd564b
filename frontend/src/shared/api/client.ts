import { parseJson, toJson } from "@/stream/json";
import { Problem, problemFrom } from "./problem";

const PATIENCE_MS = 20_000;

export interface RequestOptions {
  method?: "GET" | "POST";
  body?: unknown;
  query?: Record<string, string | number | undefined>;
  signal?: AbortSignal;
}

/** `path` with those of `query` that are set. */
export function withQuery(path: string, query: RequestOptions["query"] = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") {
      search.set(key, String(value));
    }
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** The JSON that the API answers with. Everything else is thrown as a `Problem`. */
export async function request<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const { method = "GET", body, query, signal } = options;
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(withQuery(path, query), {
      method,
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: toJson(body) }),
    });
    answer = parse(await response.text());
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw Problem.unreachable();
  }
  if (!response.ok) {
    throw problemFrom(response.status, response.statusText, answer);
  }
  return answer as T;
}

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
}

/** The WebSocket address of an API path on the server that this page came from. */
export function socketUrl(path: string, query?: RequestOptions["query"]): string {
  const { protocol, host } = window.location;
  return `${protocol === "https:" ? "wss:" : "ws:"}//${host}${withQuery(path, query)}`;
}

/** The part of an address of this API that can be asked for again, whatever host it names: behind
 * a proxy the server may know itself by another name. */
export function pathOf(url: string): string {
  const { pathname, search } = new URL(url, "http://any");
  return pathname + search;
}
