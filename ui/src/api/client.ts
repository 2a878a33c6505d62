import type { components } from "./schema";

export type Schemas = components["schemas"];
type Problem = Schemas["Problem"];

/** Where the API is, seen from the dashboard's page (`…/cch/ui/`). */
const BASE = "../api/v1";

/** An error that the API answered with, or that kept it from answering (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly fields: Problem["errors"] = [],
  ) {
    super(detail);
  }
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(BASE + path, { credentials: "same-origin", ...init });
  } catch {
    throw new ApiError(0, "unreachable", "Airflow does not answer. Trying again …");
  }
}

async function problemOf(answer: Response): Promise<ApiError> {
  try {
    const problem = (await answer.json()) as Problem;
    return new ApiError(answer.status, problem.code, problem.detail || problem.title, problem.errors);
  } catch {
    return new ApiError(answer.status, "error", `Airflow answered ${answer.status}.`);
  }
}

/** The latest answer of each address, so that asking again costs a 304 without a body. */
const known = new Map<string, { tag: string; value: unknown }>();
const MOST_KNOWN = 200;

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const before = known.get(path);
  const answer = await send(path, { signal, headers: before ? { "If-None-Match": before.tag } : {} });
  if (answer.status === 304 && before) return before.value as T;
  if (!answer.ok) throw await problemOf(answer);
  const value: unknown = await answer.json();
  const tag = answer.headers.get("ETag");
  known.delete(path);
  if (tag) known.set(path, { tag, value });
  for (const oldest of known.keys()) {
    if (known.size <= MOST_KNOWN) break;
    known.delete(oldest);
  }
  return value as T;
}

export async function post<T>(path: string, body: object): Promise<T> {
  // The API refuses what changes something without this header, which no other site can make a browser send.
  const headers = { "Content-Type": "application/json", "X-CCH-Request": "1" };
  const answer = await send(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw await problemOf(answer);
  return (await answer.json()) as T;
}

/** `?a=1&b=2&b=3` of what is not empty. */
export function query(values: Record<string, string | number | string[] | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== "" && each !== null && each !== undefined) search.append(name, String(each));
    }
  }
  const text = search.toString();
  return text && `?${text}`;
}

/** The address of something that the browser itself fetches, as a file. */
export const download = (path: string, values: Parameters<typeof query>[0]) => BASE + path + query(values);
