import { lanes } from "./spans";

const request = (over: object) =>
  ({
    node: "Ask",
    attempt: 1,
    capability: "customs#ask",
    state: "answered",
    created: "2026-01-05T08:00:00Z",
    closed: "2026-01-05T08:00:10Z",
    reply_status: "SUCCESS",
    ...over,
  }) as Parameters<typeof lanes>[0]["requests"][number];

describe("the timeline's lanes", () => {
  it("hold a bar for each attempt, in the order in which the nodes began", () => {
    const found = lanes({
      requests: [
        request({ node: "Later", created: "2026-01-05T09:00:00Z", closed: null, state: "open" }),
        request({ state: "timed_out" }),
        request({ attempt: 2, created: "2026-01-05T08:01:00Z" }),
      ],
      event_waits: [],
      visits: [],
    });

    expect(found.map((lane) => [lane.node, lane.bars.map((bar) => bar.state)])).toEqual([
      ["Ask", ["FAILED", "SUCCEEDED"]],
      ["Later", ["WAITING"]],
    ]);
    expect(found[1]?.bars[0]?.end).toBeNull();
  });
});
