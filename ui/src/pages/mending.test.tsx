import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Route, Routes } from "react-router";

import type { Schemas } from "../api/client";
import { problem, serve, show } from "../test/server";
import Instance from "./Instance";

vi.mock("../graph/Graph", () => ({ default: () => null }));

type Detail = Schemas["InstanceDetail"];

const node = (name: string, over: Partial<Schemas["NodeView"]> = {}): Schemas["NodeView"] => ({
  name,
  title: name,
  type: "async_request",
  state: "WAITING",
  visits: 1,
  since: null,
  seconds: null,
  edge: "",
  reason: "",
  items: {},
  task_id: "",
  task_url: "",
  ...over,
});

const visit = (name: string, number = 1): Schemas["VisitView"] => ({
  node: name,
  visit: number,
  started: "2026-01-05T08:00:00Z",
  ended: "2026-01-05T08:00:01Z",
  edge: "on_response",
  targets: [],
  failed: false,
  cause: "reply",
  command_id: "",
  attempt: 0,
  breach: "",
  changed: {},
});

const detail = (over: Partial<Detail> = {}): Detail => ({
  id: "i1",
  workflow_id: "w",
  workflow_name: "Import",
  correlation_id: "BOL-7",
  state: "WAITING",
  started: "2026-01-05T08:00:00Z",
  ended: null,
  due: null,
  reason: "",
  waits: [],
  waiting_since: null,
  version: 1,
  definition_digest: "1".repeat(64),
  degraded: false,
  degraded_reason: "",
  run_id: "r",
  nodes: [node("Check", { state: "SUCCEEDED" }), node("Ask_Customs")],
  visits: [visit("Check")],
  visits_truncated: false,
  maps: [],
  requests: [],
  event_waits: [],
  timeline: [],
  errors: [],
  held: [],
  context: {},
  initial_context: {},
  links: { airflow_graph: "", airflow_run: "" },
  actions: [],
  gates: [],
  allowed: ["event", "cancel"],
  ...over,
});

const edge = (label: string) => ({ source: "Ask_Customs", label, target: "End", implied: false, closing: false });

const graph = { entry: "Check", nodes: [], edges: [edge("on_response"), edge("on_failure")], regions: [] };

const version = (number: number, over: Partial<Schemas["VersionView"]> = {}) => ({
  number,
  digest: String(number).repeat(64),
  current: false,
  share: 0,
  labels: [],
  since: null,
  publisher: "ada",
  note: "",
  live: 0,
  ended: 0,
  oldest: null,
  nodes: {},
  ...over,
});

const MOVED: Schemas["MoveView"] = {
  moved: false,
  from_digest: "1",
  to_digest: "2",
  before: ["Ask_Customs"],
  after: ["Ask_Port"],
  kept: ["Ask_Customs: request c1"],
  superseded: ["Check: wait for an event"],
  notes: ["Ask_Port has another timeout"],
};

const mended = (over: Partial<Schemas["MendView"]> = {}): Schemas["MendView"] => ({
  done: false,
  before: ["Ask_Customs"],
  after: ["Check"],
  set_aside: [],
  superseded: [],
  ...over,
});

function open(found: Detail | (() => Detail), replies: Parameters<typeof serve>[0] = {}, at = "") {
  const asked = serve({ "GET /instances/i1": found, "GET /instances/i1/graph": graph, ...replies });
  show(
    <Routes>
      <Route path="/instances/:id" element={<Instance />} />
    </Routes>,
    `/instances/i1${at}`,
  );
  return () => asked.filter(({ method }) => method === "POST").map(({ path, body }) => ({ path, body }));
}

const press = async (name: string) => userEvent.click(await screen.findByRole("button", { name }));
const write = async (text: string) => {
  const field = await screen.findByLabelText("JSON");
  await userEvent.clear(field);
  await userEvent.type(field, text.replaceAll("{", "{{"));
};

const VERSIONS = {
  "GET /workflows/w/versions": {
    workflow_id: "w",
    items: [version(3, { current: true }), version(2), version(1)],
    complete: true,
  },
};

describe("moving an instance", () => {
  it("shows what it would do, and then does just that", async () => {
    const posted = open(detail(), { ...VERSIONS, "POST /instances/i1/move": MOVED });

    await press("Move");
    const version = await screen.findByLabelText("To version");
    expect(
      within(version)
        .getAllByRole("option")
        .map((each) => each.textContent),
    ).toEqual(["3 · published", "2"]);
    await userEvent.selectOptions(version, "2");
    await userEvent.type(screen.getByLabelText("Renamed steps"), "Ask_Customs = Ask_Port");
    await userEvent.type(screen.getByLabelText("Reason"), "new tariff");
    await press("Preview");

    const what = await screen.findByLabelText("What will be done");
    for (const text of ["Ask Customs", "Ask Port", ...MOVED.kept, ...MOVED.superseded, ...MOVED.notes])
      expect(within(what).getByText(text)).toBeInTheDocument();
    const body = { version: "2", renames: { Ask_Customs: "Ask_Port" }, reason: "new tariff" };
    expect(posted()).toEqual([{ path: "/instances/i1/move", body: { ...body, dry_run: true } }]);
    await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Move" }));

    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    expect(posted().at(-1)).toEqual({ path: "/instances/i1/move", body });
  });

  it("shows why it is refused, and keeps what was written", async () => {
    const hint = { location: "body.renames", message: "Ask_Customs may be called Ask_Port there" };
    open(detail(), {
      ...VERSIONS,
      "POST /instances/i1/move": () => problem(409, "It cannot be moved: it stands nowhere.", [hint]),
    });

    await press("Move");
    await userEvent.type(await screen.findByLabelText("Reason"), "new tariff");
    await press("Preview");

    const dialog = within(screen.getByRole("dialog"));
    expect(await dialog.findByText("It cannot be moved: it stands nowhere.")).toBeInTheDocument();
    expect(dialog.getByText(hint.message)).toBeInTheDocument();
    expect(dialog.getByLabelText("Reason")).toHaveValue("new tariff");
    expect(dialog.queryByRole("button", { name: "Move" })).not.toBeInTheDocument();
  });

  it("shows a refusal that comes only when it is done, and goes back to the form", async () => {
    open(detail(), {
      ...VERSIONS,
      "POST /instances/i1/move": ({ body }) =>
        (body as Schemas["MoveBody"]).dry_run ? MOVED : problem(409, "It cannot be moved now: it is busy."),
    });

    await press("Move");
    await userEvent.type(await screen.findByLabelText("Reason"), "new tariff");
    await press("Preview");
    await screen.findByLabelText("What will be done");
    await userEvent.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Move" }));
    expect(await screen.findByText("It cannot be moved now: it is busy.")).toBeInTheDocument();
    await press("Back");

    expect(screen.getByLabelText("Reason")).toBeVisible();
    expect(screen.getByLabelText("Reason")).toHaveValue("new tariff");
    expect(screen.queryByText("It cannot be moved now: it is busy.")).not.toBeInTheDocument();
  });

  it("asks for nothing with a rename that cannot be read", async () => {
    const posted = open(detail(), VERSIONS);

    await press("Move");
    await userEvent.type(await screen.findByLabelText("Renamed steps"), "Ask_Customs");
    await press("Preview");

    expect(screen.getByRole("alert")).toHaveTextContent("Write Old=New: Ask_Customs");
    expect(posted()).toEqual([]);
  });
});

describe("holding an instance", () => {
  it("says who holds it and why until it is released", async () => {
    const gate: Schemas["GateView"] = { kind: "held", by: "ada", since: "2026-01-05T08:00:00Z", reason: "wrong port" };
    let gates: Schemas["GateView"][] = [];
    const posted = open(() => detail({ gates }), {
      "POST /instances/i1/hold": () => ((gates = [gate]), {}),
      "POST /instances/i1/release": () => ((gates = []), {}),
    });

    await press("Hold");
    await userEvent.type(await screen.findByLabelText("Reason"), "wrong port");
    await press("Hold the instance");
    expect(await screen.findByText("Held by ada")).toBeInTheDocument();
    expect(screen.getByText("wrong port")).toBeInTheDocument();
    await waitFor(() => expect(screen.queryByRole("button", { name: "Hold" })).not.toBeInTheDocument());
    await press("Release");
    await press("Release the instance");

    await waitFor(() => expect(screen.queryByText("Held by ada")).not.toBeInTheDocument());
    expect(posted()).toEqual([
      { path: "/instances/i1/hold", body: { reason: "wrong port" } },
      { path: "/instances/i1/release", body: { reason: "" } },
    ]);
  });

  it("says who changes it", async () => {
    open(detail({ gates: [{ kind: "changing", by: "bob", since: "2026-01-05T08:00:00Z", reason: "" }] }));

    expect(await screen.findByText("bob changes it")).toBeInTheDocument();
  });
});

describe("patching the context", () => {
  it("names the steps that are to know of it", async () => {
    const posted = open(detail({ nodes: [node("Check", { state: "SUCCEEDED" }), node("A_B"), node("C")] }), {
      "POST /instances/i1/patch": mended({ before: ["A_B"], after: ["A_B"] }),
    });

    await press("Patch the context");
    await userEvent.click(await screen.findByLabelText("A B"));
    await write('{"port": "DEHAM"}');
    await press("Preview");
    await press("Patch");

    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    expect(posted().at(-1)?.body).toEqual({ patch: { port: "DEHAM" }, nodes: ["A_B"], reason: "" });
  });
});

describe("a step", () => {
  it("that waits is decided by hand", async () => {
    const posted = open(detail(), { "POST /instances/i1/decide": mended({ after: [] }) }, "?node=Ask_Customs");

    await press("Decide by hand");
    await userEvent.selectOptions(await screen.findByLabelText("Way"), "on_failure");
    await userEvent.type(screen.getByLabelText("Reason"), "by phone");
    await write('{"status": "OK"}');
    await press("Preview");
    expect(await screen.findByText("no step: it ends")).toBeInTheDocument();
    await press("Decide");

    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    const body = {
      node: "Ask_Customs",
      verdict: "completed",
      payload: { status: "OK" },
      edge: "on_failure",
      reason: "by phone",
    };
    expect(posted().map((each) => each.body)).toEqual([{ ...body, dry_run: true }, body]);
  });

  it("that is skipped writes nothing", async () => {
    const posted = open(detail(), { "POST /instances/i1/decide": mended() }, "?node=Ask_Customs");

    await press("Decide by hand");
    await userEvent.selectOptions(await screen.findByLabelText("Verdict"), "skipped");
    expect(screen.queryByLabelText("JSON")).not.toBeInTheDocument();
    await press("Preview");

    await screen.findByLabelText("What will be done");
    expect(posted()[0]?.body).toMatchObject({ verdict: "skipped", payload: {} });
  });

  it("that was visited can be tried again from one of its visits, with what that sets aside", async () => {
    const posted = open(
      detail({ visits: [visit("Check"), visit("Check", 2)] }),
      { "POST /instances/i1/retry": mended({ set_aside: ["Check#1", "Check#2"], superseded: ["c1"] }) },
      "?node=Check",
    );

    await press("Retry from here");
    expect(screen.queryByRole("button", { name: "Decide by hand" })).not.toBeInTheDocument();
    await userEvent.selectOptions(await screen.findByLabelText("From visit"), "1");
    await press("Preview");
    for (const text of ["Check, visit 1", "Check, visit 2", "c1"])
      expect(await screen.findByText(text)).toBeInTheDocument();
    await press("Retry");

    await waitFor(() => expect(screen.queryByRole("dialog")).not.toBeInTheDocument());
    expect(posted().at(-1)?.body).toEqual({ node: "Check", visit: 1, reason: "" });
  });

  it("of an instance that has failed can be tried again or decided", async () => {
    const ended = detail({ state: "FAILED", allowed: [], nodes: [node("Check", { state: "FAILED" })] });
    open(ended, { "POST /instances/i1/retry": () => problem(403, "You may not edit runs of w.") }, "?node=Check");

    await press("Retry from here");
    await press("Preview");

    expect(await screen.findByText("You may not edit runs of w.")).toBeInTheDocument();
    for (const name of ["Move", "Hold", "Patch the context", "Cancel"])
      expect(screen.queryByRole("button", { name })).not.toBeInTheDocument();
  });

  it("of somebody else's instance can only be looked at", async () => {
    open(detail({ allowed: [] }), {}, "?node=Check");

    expect(await screen.findByRole("heading", { name: /Check/ })).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Retry from here" })).not.toBeInTheDocument();
  });
});
