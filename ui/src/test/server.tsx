import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactElement } from "react";
import { HashRouter, MemoryRouter, useLocation } from "react-router";
import { vi } from "vitest";

/** What the API was asked, oldest first. */
export interface Asked {
  method: string;
  path: string;
  headers: Headers;
  body: unknown;
}

type Reply = object | ((asked: Asked) => Response | object);

/** Answers `GET /tasks` and so on from a table: path without `?…` → JSON, or a function of the request. */
export function serve(replies: Record<string, Reply>): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    const request: Asked = {
      method: init.method ?? "GET",
      path: url.replace("../api/v1", ""),
      headers: new Headers(init.headers),
      body: typeof init.body === "string" ? JSON.parse(init.body) : null,
    };
    asked.push(request);
    const found = replies[`${request.method} ${request.path.replace(/\?.*/, "")}`];
    const reply = typeof found === "function" ? (found as (asked: Asked) => Response | object)(request) : found;
    if (reply instanceof Response) return Promise.resolve(reply);
    if (!reply) return Promise.resolve(problem(404, "There is nothing."));
    return Promise.resolve(new Response(JSON.stringify(reply), { status: 200 }));
  });
  return asked;
}

export const problem = (status: number, detail: string, errors: object[] = []) =>
  new Response(JSON.stringify({ status, code: "some_code", title: "Problem", detail, errors }), { status });

const Place = () => {
  const { pathname, search } = useLocation();
  return <output aria-label="place">{pathname + search}</output>;
};

/** Shows a page at a place. A place that begins with `#` is that of the window, as in a browser. */
export function show(page: ReactElement, at = "/") {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const shown = (
    <>
      {page}
      <Place />
    </>
  );
  if (at.startsWith("#")) location.hash = at;
  return render(
    <QueryClientProvider client={client}>
      {at.startsWith("#") ? (
        <HashRouter>{shown}</HashRouter>
      ) : (
        <MemoryRouter initialEntries={[at]}>{shown}</MemoryRouter>
      )}
    </QueryClientProvider>,
  );
}
