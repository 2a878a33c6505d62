import type { Schemas } from "../api/client";
import { edgeId } from "./types";

type Statistics = Schemas["WorkflowStatistics"];
type Places = Schemas["WorkflowPlaces"];

/** By what nodes are coloured. */
export const HEATS = { time: "time, 95 %", failures: "failures", visits: "visits" } as const;
export type Heat = keyof typeof HEATS;

/** What is drawn on a node of all instances together. `heat`: 0 is cold, 1 the hottest. */
export interface NodeLoad {
  visits: number;
  failed: number;
  p95: number | null;
  heat: number;
  now: number;
  oldest: string | null;
}

/** What all instances did with a graph. `taken`: edge → how often. */
export interface Load {
  nodes: Map<string, NodeLoad>;
  taken: Map<string, number>;
}

type Node = Statistics["nodes"][number];

const measure: Record<Heat, (node: Node) => number> = {
  // Waits last from milliseconds to weeks: what is ten times as long is one step hotter.
  time: (node) => Math.log10(1 + 10 * (node.p95_seconds ?? 0)),
  failures: (node) => (node.visits ? node.failed / node.visits : 0),
  visits: (node) => node.visits,
};

export function loadOf(found: Statistics, heat: Heat, places?: Places): Load {
  const hottest = Math.max(...found.nodes.map(measure[heat]), 0);
  const now = new Map(places?.nodes.map((place) => [place.node, place]));
  return {
    nodes: new Map(
      found.nodes.map((node) => [
        node.name,
        {
          visits: node.visits,
          failed: node.failed,
          p95: node.p95_seconds,
          heat: hottest ? measure[heat](node) / hottest : 0,
          now: now.get(node.name)?.instances ?? 0,
          oldest: now.get(node.name)?.oldest ?? null,
        },
      ]),
    ),
    taken: new Map(found.edges.map((edge) => [edgeId({ ...edge, implied: false, closing: false }), edge.taken])),
  };
}
