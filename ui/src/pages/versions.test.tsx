import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";

import type { Schemas } from "../api/client";
import { serve, show } from "../test/server";
import { Versions } from "./workflow/Versions";

const version = (number: number, over: Partial<Schemas["VersionView"]> = {}): Schemas["VersionView"] => ({
  number,
  digest: String(number).repeat(64),
  current: false,
  share: 0,
  labels: [],
  since: "2026-01-05T08:00:00Z",
  publisher: "ada",
  note: "",
  live: 0,
  ended: 0,
  oldest: null,
  nodes: {},
  ...over,
});

const difference = (over: object = {}) => ({
  from_digest: "1",
  to_digest: "2",
  added: [],
  removed: [],
  changed: {},
  ways_added: [],
  ways_removed: [],
  required_added: [],
  required_removed: [],
  required_changed: [],
  entry_changed: false,
  graph: { entry: "A", nodes: [], edges: [], regions: [] },
  ...over,
});

const list = (items: Schemas["VersionView"][]) => ({ workflow_id: "w", items, complete: true });

describe("the versions of a workflow", () => {
  it("says who runs which, and leads to them", async () => {
    serve({
      "GET /workflows/w/versions": list([
        version(2, { current: true, note: "tariff of 1 July" }),
        version(1, { live: 3, labels: ["stable"], nodes: { Ask_Customs: 3 } }),
      ]),
      "GET /workflows/w/versions/1/difference": difference(),
    });

    show(<Versions workflow="w" />);

    expect(await screen.findByRole("link", { name: "3" })).toHaveAttribute("href", "/?workflow=w&version=1");
    expect(screen.getByText("published")).toBeInTheDocument();
    expect(screen.getByText("@stable")).toBeInTheDocument();
    expect(screen.getByText("Ask Customs (3)")).toBeInTheDocument();
    expect(screen.getByText("tariff of 1 July")).toBeInTheDocument();
    expect(await screen.findByText("No difference")).toBeInTheDocument();
  });

  it("compares the two that are chosen", async () => {
    const asked = serve({
      "GET /workflows/w/versions": list([version(3), version(2), version(1)]),
      "GET /workflows/w/versions/2/difference": difference(),
      "GET /workflows/w/versions/1/difference": difference({ required_added: ["bl"] }),
    });

    show(<Versions workflow="w" />);
    await userEvent.selectOptions(await screen.findByLabelText("From version"), "1");

    expect(await screen.findByText("a start must bring bl")).toBeInTheDocument();
    expect(asked.some(({ path }) => path.endsWith("/versions/1/difference?to=3"))).toBe(true);
  });
});
