import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";

import { serve, show } from "../test/server";
import Capabilities from "./Capabilities";
import { Expressions } from "./instance/Expressions";

const contract = (over: object = {}) => ({
  id: "screening#party",
  title: "Screen a party",
  owner: "screening",
  description: "Compares one party.",
  enforce: "fail",
  usual_seconds: 60,
  longest_seconds: null,
  idempotency: "none",
  errors: { BUSY: "Later." },
  request: { type: "object" },
  replies: { SUCCESS: { required: ["verdict"] } },
  examples: [{ title: "Listed", request: null, status: "SUCCESS", payload: { verdict: "HELD" } }],
  digest: "0123456789abcdef",
  workflows: ["import_v1"],
  ...over,
});

describe("capabilities", () => {
  it("are listed with what a breach does, their codes, and who asks them", async () => {
    serve({ "GET /capabilities": { items: [contract(), contract({ id: "a#b", workflows: [] })] } });

    show(<Capabilities />, "/capabilities?id=screening%23party");

    expect(await screen.findAllByText("a breach fails the step")).toHaveLength(2);
    expect(screen.getByRole("link", { name: "import_v1" })).toHaveAttribute("href", "/workflows/import_v1");
    expect(screen.getByText("no workflow asks it")).toBeInTheDocument();
    expect(screen.getByText("Reply SUCCESS")).toBeInTheDocument();
    expect(screen.getByText("Listed")).toBeInTheDocument();
    expect(screen.getByText(/asked twice, it does the work twice/)).toBeInTheDocument();
  });

  it("are held and released as a whole, with a reason", async () => {
    const hold = {
      kind: "capability",
      name: "screening#party",
      by: "ada",
      since: "2026-01-05T08:00:00Z",
      reason: "it is down",
      released: null,
      rate: 0,
      batch: "b",
      held: 2,
    };
    const held: object[] = [];
    const asked = serve({
      "GET /capabilities": { items: [contract()] },
      "GET /holds": { items: held },
      "POST /holds": hold,
      "POST /holds/release": { ...hold, released: "2026-01-05T09:00:00Z" },
    });

    show(<Capabilities />);
    await userEvent.click(await screen.findByRole("button", { name: "Hold" }));
    await userEvent.type(screen.getByLabelText("Reason"), "it is down");
    held.push(hold);
    await userEvent.click(screen.getByRole("button", { name: "Hold the capability" }));
    expect(await screen.findByText(/Held by ada since .* \(2 instances are held for it\)/)).toBeVisible();
    await userEvent.click(await screen.findByRole("button", { name: "Release" }));
    await userEvent.click(screen.getByRole("button", { name: "Release the capability" }));

    const what = { kind: "capability", name: "screening#party" };
    expect(asked.filter(({ method }) => method === "POST").map(({ path, body }) => [path, body])).toEqual([
      ["/holds", { ...what, reason: "it is down" }],
      ["/holds/release", { ...what, reason: "" }],
    ]);
  });

  it("say how to write the first contract", async () => {
    serve({ "GET /capabilities": { items: [] } });

    show(<Capabilities />);

    expect(await screen.findByText("No capability has a contract")).toBeInTheDocument();
  });
});

describe("expressions of a step", () => {
  it("are evaluated when somebody looks, and show what they saw and gave", async () => {
    const seen = {
      visit: 1,
      place: "input.n",
      text: "{% n * 2 %}",
      saw: { n: 21 },
      gave: 42,
      nothing: false,
      error: "",
    };
    const asked = serve({
      "GET /instances/i1/nodes/Ask/expressions": {
        items: [seen, { ...seen, place: "output.m", gave: null, error: "the expression failed" }],
      },
    });

    show(<Expressions instance="i1" node="Ask" count={2} item={{ map: "Fan", index: 3 }} />);
    expect(asked).toHaveLength(0);
    await userEvent.click(screen.getByText("What its 2 expressions saw"));

    expect(await screen.findByText("42")).toBeInTheDocument();
    expect(screen.getAllByText("21")).toHaveLength(2);
    expect(screen.getByText("the expression failed")).toBeInTheDocument();
    expect(asked[0]?.path).toContain("map_node=Fan&index=3");
  });
});
