import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Route, Routes } from "react-router";

import type { Schemas } from "../api/client";
import { problem, serve, show } from "../test/server";
import Batch from "./Batch";
import Batches from "./Batches";
import Incidents from "./Incidents";
import { Instances } from "./Instances";

const batch = (over: Partial<Schemas["BatchView"]> = {}): Schemas["BatchView"] => ({
  id: "b1",
  state: "running",
  action: { kind: "retry" },
  search: { incident: "abc", state: ["FAILED"] },
  by: "ada",
  reason: "it answered nonsense",
  rate: 10,
  created: "2026-01-05T08:00:00Z",
  ended: null,
  total: 400,
  not_allowed: 0,
  done: 100,
  skipped: 0,
  refused: 2,
  failed: 0,
  left: 298,
  workflows: ["customs_v1"],
  can_edit: true,
  ...over,
});

const preview = (over: Partial<Schemas["BatchPreview"]> = {}): Schemas["BatchPreview"] => ({
  count: 400,
  not_allowed: 3,
  workflows: { customs_v1: 400 },
  statuses: { failed: 400 },
  examples: [
    {
      id: "i1",
      workflow_id: "customs_v1",
      correlation_id: "BOL-7",
      possible: true,
      refused: "",
      before: [],
      after: ["Ask_Customs"],
    },
    {
      id: "i2",
      workflow_id: "customs_v1",
      correlation_id: "",
      possible: false,
      refused: "it is held",
      before: [],
      after: [],
    },
  ],
  ...over,
});

const EMPTY_PAGE = { items: [], next_cursor: null, degraded: false, degraded_reason: "" };

const INCIDENT: Schemas["IncidentView"] = {
  id: "abc",
  kind: "failed",
  title: "customs_v1 failed at Ask_Customs",
  workflow_id: "customs_v1",
  node: "Ask_Customs",
  code: "HS_CODE",
  pattern: "",
  capability: "",
  count: 400,
  first: null,
  last: null,
  usual_seconds: null,
  days: [],
  examples: ["i1"],
};

const press = async (name: string | RegExp) => userEvent.click(await screen.findByRole("button", { name }));
const posted = (asked: ReturnType<typeof serve>) =>
  asked.filter(({ method }) => method === "POST").map(({ path, body }) => ({ path, body }));

describe("a batch is begun", () => {
  it("from an incident, after it was previewed, with the number that was seen", async () => {
    const asked = serve({
      "GET /incidents": { since: "2026-01-01T00:00:00Z", complete: true, items: [INCIDENT] },
      "POST /batches/preview": preview(),
      "POST /batches": batch(),
    });

    show(<Incidents />);
    await press("Retry all");
    await userEvent.type(screen.getByLabelText("Reason"), "nonsense");
    await press("Preview");
    const what = within(await screen.findByLabelText("What will be done"));
    expect(what.getByText("3 that you may not change")).toBeInTheDocument();
    expect(what.getByText(/no step → Ask Customs/)).toBeInTheDocument();
    expect(what.getByText(/not possible: it is held/)).toBeInTheDocument();
    await press("Retry from a step: 400");

    const wish = {
      search: { incident: "abc", state: ["FAILED"] },
      action: { kind: "retry", node: "" },
      reason: "nonsense",
    };
    await waitFor(() => expect(screen.getByLabelText("place")).toHaveTextContent("/batches/b1"));
    const [first, second] = posted(asked);
    expect(first).toEqual({ path: "/batches/preview", body: wish });
    expect(second).toEqual({
      path: "/batches",
      body: { ...wish, expected: 400, rate: 10, id: expect.any(String) as string },
    });
  });

  it("from a search of instances, which is the batch's", async () => {
    const asked = serve({ "GET /instances": EMPTY_PAGE, "POST /batches/preview": preview({ not_allowed: 0 }) });

    show(<Instances />, "/?state=FAILED&node=Ask_Customs&code=HS_CODE&key=BOL");
    await press("Act on all that match");
    await userEvent.selectOptions(screen.getByLabelText("Action"), "cancel");
    await press("Preview");

    await screen.findByLabelText("What will be done");
    expect(posted(asked)[0]?.body).toEqual({
      search: { correlation_prefix: "BOL", state: ["FAILED"], failed_node: "Ask_Customs", error_code: "HS_CODE" },
      action: { kind: "cancel" },
      reason: "",
    });
  });

  it("not without a search, and not at a rate that is none", async () => {
    const asked = serve({ "GET /instances": EMPTY_PAGE });

    show(<Instances />);
    expect(await screen.findByText("Nothing has been started yet")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Act on all that match" })).not.toBeInTheDocument();
    await press(/waiting/);
    await press("Act on all that match");
    const rate = screen.getByLabelText("Instances a second, at the most");
    await userEvent.clear(rate);
    await userEvent.type(rate, "0");
    await press("Preview");

    expect(screen.getByRole("alert")).toHaveTextContent("from 0.01");
    expect(posted(asked)).toEqual([]);
  });

  it("moves only within one workflow, and says what the server refuses", async () => {
    const versions = [2, 1].map((number) => ({
      number,
      digest: String(number).repeat(64),
      current: number === 2,
      share: 0,
      labels: [],
      since: null,
      publisher: "",
      note: "",
      live: 0,
      ended: 0,
      oldest: null,
      nodes: {},
    }));
    const asked = serve({
      "GET /instances": EMPTY_PAGE,
      "GET /workflows/w/versions": { workflow_id: "w", items: versions, complete: true },
      "POST /batches/preview": () => problem(422, "No version is called so."),
    });

    show(<Instances />, "/?workflow=w&state=WAITING");
    await press("Act on all that match");
    await userEvent.selectOptions(screen.getByLabelText("Action"), "move");
    await userEvent.type(await screen.findByLabelText("Renamed steps"), "Old=New");
    await press("Preview");

    expect(await screen.findByText("No version is called so.")).toBeInTheDocument();
    expect(posted(asked)[0]?.body).toMatchObject({
      search: { workflow_id: "w", state: ["WAITING"] },
      action: { kind: "move", version: "2", renames: { Old: "New" } },
    });
  });

  it("does not begin for nobody", async () => {
    serve({ "GET /instances": EMPTY_PAGE, "POST /batches/preview": preview({ count: 0, examples: [] }) });

    show(<Instances />, "/?state=FAILED");
    await press("Act on all that match");
    await press("Preview");

    expect(await screen.findByRole("button", { name: "Hold: 0" })).toBeDisabled();
  });
});

describe("a batch", () => {
  const RESULTS = {
    items: [
      {
        instance_id: "i1",
        workflow_id: "customs_v1",
        correlation_id: "BOL-7",
        result: "refused",
        reason: "it is held",
        at: "2026-01-05T08:00:01Z",
      },
    ],
    next_cursor: null,
  };
  const open = (replies: Parameters<typeof serve>[0], at = "/batches/b1") => {
    const asked = serve({ "GET /batches/b1": batch(), "GET /batches/b1/results": RESULTS, ...replies });
    show(
      <Routes>
        <Route path="/batches/:id" element={<Batch />} />
      </Routes>,
      at,
    );
    return asked;
  };

  it("says how far it is, and what has become of each instance", async () => {
    const asked = open({});

    const bar = await screen.findByRole("progressbar");
    expect(bar).toHaveAttribute("aria-valuenow", "102");
    expect(bar).toHaveAttribute("aria-valuemax", "400");
    expect(screen.getByText(/102 of 400 · 100 done · 2 refused/)).toBeInTheDocument();
    expect(await screen.findByRole("link", { name: "BOL-7" })).toHaveAttribute("href", "/instances/i1");
    expect(screen.getByText("it is held")).toBeInTheDocument();
    await press("refused");
    expect(asked.some(({ path }) => path.includes("result=refused"))).toBe(true);
  });

  it("is paused, resumed and stopped; to stop is confirmed", async () => {
    const asked = open({
      "POST /batches/b1/pause": batch({ state: "paused" }),
      "POST /batches/b1/stop": batch({ state: "stopped" }),
    });

    await press("Pause");
    await press("Stop");
    const dialog = within(screen.getByRole("dialog", { hidden: true }));
    expect(dialog.getByText(/298 instances stay as they are/)).toBeInTheDocument();
    await userEvent.click(dialog.getByRole("button", { name: "Stop", hidden: true }));

    expect(posted(asked).map(({ path }) => path)).toEqual(["/batches/b1/pause", "/batches/b1/stop"]);
  });

  it("offers nothing to those who may not edit, nor when it is over", async () => {
    open({ "GET /batches/b1": batch({ state: "paused", can_edit: false }) });
    expect(await screen.findByRole("progressbar")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Resume" })).not.toBeInTheDocument();
  });
});

describe("the list of batches", () => {
  it("leads to each, with its bar", async () => {
    serve({ "GET /batches": { items: [batch()], next_cursor: null } });
    show(<Batches />);

    expect(await screen.findByRole("link", { name: "Retry from a step" })).toHaveAttribute("href", "/batches/b1");
    expect(screen.getByRole("progressbar", { name: "102 of 400" })).toBeInTheDocument();
  });

  it("says how to begin one", async () => {
    serve({ "GET /batches": { items: [], next_cursor: null } });
    show(<Batches />);
    expect(await screen.findByText("There are no batches")).toBeInTheDocument();
  });
});
