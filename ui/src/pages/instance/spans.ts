import type { Schemas } from "../../api/client";

type Detail = Schemas["InstanceDetail"];

/** A bar of the timeline; times in ms since 1970, `end` null: it still goes on. */
export interface Bar {
  start: number;
  end: number | null;
  state: string;
  text: string;
}

export interface Lane {
  node: string;
  bars: Bar[];
}

const ms = (moment: string) => new Date(moment).getTime();

const REQUEST_STATES: Record<string, string> = { open: "WAITING", answered: "SUCCEEDED", superseded: "SKIPPED" };
const WAIT_STATES: Record<string, string> = { open: "WAITING", event: "SUCCEEDED", superseded: "SKIPPED" };

/** What took time, a lane for each node, in the order in which they began. */
export function lanes(detail: Pick<Detail, "requests" | "event_waits" | "visits">): Lane[] {
  const bars: [string, Bar][] = [];
  for (const request of detail.requests) {
    const attempt = request.attempt > 1 ? `, attempt ${request.attempt}` : "";
    bars.push([
      request.node,
      {
        start: ms(request.created),
        end: request.closed ? ms(request.closed) : null,
        state: REQUEST_STATES[request.state] ?? "FAILED",
        text: `${request.capability}${attempt}: ${request.state.replace("_", " ")} ${request.reply_status}`.trim(),
      },
    ]);
  }
  for (const wait of detail.event_waits) {
    bars.push([
      wait.node,
      {
        start: ms(wait.created),
        end: wait.closed ? ms(wait.closed) : null,
        state: WAIT_STATES[wait.state] ?? "FAILED",
        text: wait.event_key ? `event with ${wait.event_key}` : "event",
      },
    ]);
  }
  const told = new Set(bars.map(([node]) => node));
  for (const visit of detail.visits) {
    const [start, end] = [ms(visit.started), ms(visit.ended)];
    if (told.has(visit.node) || end === start) continue;
    bars.push([visit.node, { start, end, state: visit.failed ? "FAILED" : "SUCCEEDED", text: visit.edge }]);
  }
  const found = new Map<string, Bar[]>();
  for (const [node, bar] of bars.sort(([, a], [, b]) => a.start - b.start)) {
    found.set(node, [...(found.get(node) ?? []), bar]);
  }
  return [...found].map(([node, of]) => ({ node, bars: of }));
}
