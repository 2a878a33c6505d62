import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";

import type { Schemas } from "../api/client";
import { loadOf } from "../graph/load";
import { serve, show } from "../test/server";
import { Figures, percent } from "./workflow/Figures";

const node = (name: string, over: object = {}) => ({
  name,
  title: name,
  type: "async_request",
  capability: "",
  visits: 0,
  failed: 0,
  timed_out: 0,
  median_seconds: null,
  p95_seconds: null,
  longest_seconds: null,
  total_seconds: 0,
  ...over,
});

const ends = { completed: 90, failed: 10, cancelled: 0, again: 2, median_seconds: 60, p95_seconds: 300 };

const statistics = (over: object = {}): Schemas["WorkflowStatistics"] => ({
  workflow_id: "w",
  since: "2026-01-04",
  until: "2026-01-05",
  digest: "",
  versions: [{ digest: "d", number: 2, ended: 100 }],
  ends,
  days: [
    { day: "2026-01-04", ...ends },
    { day: "2026-01-05", ...ends, completed: 0, failed: 0, median_seconds: null, p95_seconds: null },
  ],
  nodes: [
    node("Ask_Customs", { visits: 100, failed: 10, median_seconds: 12, p95_seconds: 90, longest_seconds: 900 }),
    node("Done", { visits: 90, type: "end" }),
  ],
  edges: [{ source: "Ask_Customs", label: "on_response", target: "Done", taken: 90 }],
  capabilities: [{ ...node(""), capability: "customs#ask", visits: 100, failed: 10, p95_seconds: 90, nodes: [] }],
  graph: null,
  ...over,
});

const places = {
  workflow_id: "w",
  running: 7,
  working: 3,
  complete: true,
  nodes: [{ node: "Ask_Customs", instances: 4, oldest: "2026-01-05T08:00:00Z" }],
};

describe("a workflow over all its instances", () => {
  it("says how often, how long, and where they are now", async () => {
    serve({ "GET /workflows/w/statistics": statistics(), "GET /workflows/w/places": places });

    show(<Figures workflow="w" />);

    expect(await screen.findByText("10 failed (10.0 %)")).toBeInTheDocument();
    expect(await screen.findByText("7 running now")).toBeInTheDocument();
    const row = within(screen.getByRole("table", { name: "Nodes" })).getByRole("row", { name: /Ask Customs/ });
    expect(row).toHaveTextContent("100");
    expect(row).toHaveTextContent("1 min 30 s");
    expect(row).toHaveTextContent("4");
    expect(screen.getByRole("row", { name: /customs#ask/ })).toHaveTextContent("10.0 %");
    expect(screen.getByRole("link", { name: "nodes" })).toHaveAttribute(
      "href",
      "../api/v1/workflows/w/statistics.csv?table=nodes&days=30",
    );
  });

  it("asks for a version and a length of time", async () => {
    const asked = serve({ "GET /workflows/w/statistics": statistics(), "GET /workflows/w/places": places });

    show(<Figures workflow="w" />);
    await screen.findByText("7 running now");
    await userEvent.selectOptions(screen.getByLabelText("Version"), "2");
    await userEvent.selectOptions(screen.getByLabelText("Ended in"), "7");

    expect(await screen.findByText("7 running now")).toBeInTheDocument();
    expect(asked.some(({ path }) => path === "/workflows/w/statistics?version=2&days=7")).toBe(true);
  });

  it("colours by what is chosen, and counts ways", () => {
    const found = statistics();

    expect(loadOf(found, "failures", places).nodes.get("Ask_Customs")).toMatchObject({ heat: 1, now: 4, p95: 90 });
    expect(loadOf(found, "visits").nodes.get("Done")?.heat).toBe(0.9);
    expect(loadOf(statistics({ nodes: [node("A")] }), "time").nodes.get("A")?.heat).toBe(0);
    expect(loadOf(found, "time").taken.get("Ask_Customs|on_response|Done")).toBe(90);
  });

  it("writes small shares so that they are not nothing", () => {
    expect([percent(0, 0), percent(0, 9), percent(1, 100_000), percent(1, 3)]).toEqual(["", "0 %", "<0.1 %", "33.3 %"]);
  });
});
