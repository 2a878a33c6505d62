import { screen, within } from "@testing-library/react";

import type { Schemas } from "../api/client";
import { serve, show } from "../test/server";
import Incidents from "./Incidents";
import { Instances } from "./Instances";

const incident = (over: Partial<Schemas["IncidentView"]> = {}): Schemas["IncidentView"] => ({
  id: "abc",
  kind: "failed",
  title: "customs_v1 failed at Ask_Customs with HS_CODE",
  workflow_id: "customs_v1",
  node: "Ask_Customs",
  code: "HS_CODE",
  pattern: "bill <id> is unknown",
  capability: "",
  count: 400,
  first: "2026-01-04T08:00:00Z",
  last: "2026-01-05T08:00:00Z",
  usual_seconds: null,
  days: [0, 100, 300],
  examples: ["i-1"],
  ...over,
});

const list = (items: Schemas["IncidentView"][], complete = true) => ({
  since: "2026-01-01T00:00:00Z",
  complete,
  items,
});

describe("incidents", () => {
  it("are groups that lead to their members", async () => {
    serve({
      "GET /incidents": list([
        incident(),
        incident({ id: "l", kind: "late", title: "late", capability: "customs#ask", usual_seconds: 600, count: 3 }),
        incident({ id: "o", kind: "orphan", title: "orphans", workflow_id: "", capability: "a#b", count: 2 }),
        incident({ id: "d", kind: "definition", title: "errors", count: 1, days: [], examples: ["bad.yaml"] }),
      ]),
    });

    show(<Incidents />);

    const failed = within(await screen.findByRole("region", { name: "Failed instances" }));
    expect(failed.getByRole("link", { name: /customs_v1 failed at/ })).toHaveAttribute(
      "href",
      "/?incident=abc&state=FAILED",
    );
    expect(failed.getByText("bill <id> is unknown")).toBeInTheDocument();
    expect(failed.getByRole("img", { name: "300 today, 100 the day before" })).toBeInTheDocument();
    expect(screen.getByText("usually at most 10 min")).toBeInTheDocument();
    expect(screen.getByRole("link", { name: "3 late" })).toHaveAttribute(
      "href",
      "/?workflow=customs_v1&state=WAITING&for=customs%23ask",
    );
    expect(screen.getByRole("link", { name: "1 errors" })).toHaveAttribute("href", "/workflows/customs_v1?tab=yaml");
    expect(screen.getByText("bad.yaml")).toBeInTheDocument();
  });

  it("says when there are none, and when there are too many", async () => {
    serve({ "GET /incidents": list([]) });
    show(<Incidents />);
    expect(await screen.findByText("Nothing needs a person")).toBeInTheDocument();
  });

  it("says when counts are too small", async () => {
    serve({ "GET /incidents": list([incident()], false) });
    show(<Incidents />);
    expect(await screen.findByText(/counts are too small/)).toBeInTheDocument();
  });

  it("are a search of the list of instances", async () => {
    const asked = serve({ "GET /instances": { items: [], next_cursor: null, degraded: false, degraded_reason: "" } });

    show(<Instances />, "/?incident=abc&state=FAILED");

    expect(await screen.findByText(/that nobody has run again/)).toBeInTheDocument();
    expect(asked.some(({ path }) => path.includes("incident=abc"))).toBe(true);
  });
});
