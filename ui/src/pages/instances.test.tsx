import { act, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { lazy, Suspense, type ReactElement } from "react";
import { Link, Route, Routes } from "react-router";

import type { Schemas } from "../api/client";
import { problem, serve, show } from "../test/server";
import { Instances } from "./Instances";

const row = (over: Partial<Schemas["InstanceSummary"]> = {}): Schemas["InstanceSummary"] => ({
  id: "11111111-1111-1111-1111-111111111111",
  workflow_id: "w",
  workflow_name: "Import",
  correlation_id: "BOL-7",
  state: "WAITING",
  started: "2026-01-05T08:00:00Z",
  ended: null,
  due: null,
  reason: "",
  waits: [
    {
      id: "c",
      kind: "request",
      node: "Ask_Customs",
      capability: "customs#ask",
      event_key: "",
      branch: "",
      branch_path: [],
      since: "2026-01-05T08:00:01Z",
      deadline: null,
    },
  ],
  waiting_since: "2026-01-05T08:00:01Z",
  version: 3,
  definition_digest: "ab".repeat(32),
  ...over,
});

const page = (items: Schemas["InstanceSummary"][], over: object = {}) => ({
  items,
  next_cursor: null,
  degraded: false,
  degraded_reason: "",
  ...over,
});

describe("the list of instances", () => {
  it("says which step each waits at, and for whom", async () => {
    serve({ "GET /instances": page([row()]) });

    show(<Instances />);

    expect(await screen.findByRole("link", { name: "BOL-7" })).toBeInTheDocument();
    expect(screen.getByText("Ask Customs")).toBeInTheDocument();
    expect(screen.getByText("customs#ask")).toBeInTheDocument();
  });

  it("searches by the beginning of the business key, and keeps it in the address", async () => {
    const asked = serve({ "GET /instances": page([]) });

    show(<Instances />);
    await userEvent.type(screen.getByRole("searchbox"), "BOL{Enter}");

    expect(await screen.findByText("Nothing matches")).toBeInTheDocument();
    expect(asked.some(({ path }) => path.includes("correlation_prefix=BOL"))).toBe(true);
    expect(screen.getByLabelText("place")).toHaveTextContent("/?key=BOL");
  });

  it("stays where somebody went while typing still rested", async () => {
    let load: ((page: { default: () => ReactElement }) => void) | undefined;
    const Slow = lazy(() => new Promise<{ default: () => ReactElement }>((resolve) => (load = resolve)));
    serve({ "GET /instances": page([row()]) });

    show(
      <Suspense>
        <Routes>
          <Route path="/" element={<Instances />} />
          <Route path="/instances/:id" element={<Slow />} />
        </Routes>
      </Suspense>,
      "#/",
    );
    const link = await screen.findByRole("link", { name: "BOL-7" });
    await userEvent.type(screen.getByRole("searchbox"), "BOL");
    await userEvent.click(link);
    // Longer than typing rests: the page that is asked for has not been loaded yet.
    await act(() => new Promise((resolve) => setTimeout(resolve, 400)));
    load?.({ default: () => <h1>One instance</h1> });

    expect(await screen.findByRole("heading", { name: "One instance" })).toBeInTheDocument();
    expect(screen.getByLabelText("place")).toHaveTextContent(`/instances/${row().id}`);
  });

  it("shows in the box what the address searches for, also after a link has changed it", async () => {
    serve({ "GET /instances": page([row()]) });

    show(
      <>
        <Link to="/">all</Link>
        <Instances />
      </>,
      "/?key=BOL",
    );
    expect(screen.getByRole("searchbox")).toHaveValue("BOL");
    await userEvent.click(screen.getByRole("link", { name: "all" }));

    expect(screen.getByLabelText("place")).toHaveTextContent(/^\/$/);
    expect(screen.getByRole("searchbox")).toHaveValue("");
  });

  it("filters by state with a button that says whether it is pressed", async () => {
    const asked = serve({ "GET /instances": page([row()]) });

    show(<Instances />);
    await userEvent.click(screen.getByRole("button", { name: /failed/ }));

    expect(screen.getByRole("button", { name: /failed/ })).toHaveAttribute("aria-pressed", "true");
    expect(asked.some(({ path }) => path.includes("state=FAILED"))).toBe(true);
  });

  it("goes to the next page and back by the cursors", async () => {
    serve({
      "GET /instances": ({ path }) =>
        path.includes("cursor=two") ? page([row({ correlation_id: "SECOND" })]) : page([row()], { next_cursor: "two" }),
    });

    show(<Instances />);
    await userEvent.click(await screen.findByRole("button", { name: /Next/ }));
    expect(await screen.findByRole("link", { name: "SECOND" })).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: /Previous/ }));

    expect(await screen.findByRole("link", { name: "BOL-7" })).toBeInTheDocument();
  });

  it("shows a banner when only Airflow's database answers", async () => {
    serve({ "GET /instances": page([row()], { degraded: true, degraded_reason: "DynamoDB: timeout" }) });

    show(<Instances />);

    expect(await screen.findByText(/DynamoDB: timeout/)).toBeInTheDocument();
  });

  it("tells errors, and asks somebody without a session to log in", async () => {
    serve({ "GET /instances": () => problem(401, "Not logged in") });

    show(<Instances />);

    expect(await screen.findByRole("alert")).toHaveTextContent("Not logged in");
    expect(screen.getByRole("button", { name: "Log in" })).toBeInTheDocument();
  });

  it("says how to begin when nothing has been started", async () => {
    serve({ "GET /instances": page([]) });

    show(<Instances />);

    expect(await screen.findByText("Nothing has been started yet")).toBeInTheDocument();
  });
});
