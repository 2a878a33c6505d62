import type { Schemas } from "../api/client";
import type { NodeState } from "../api/queries";
import { edgeId } from "./types";

/** What is drawn on a node of a running or finished instance. */
export interface NodeProgress {
  state: NodeState;
  visits: number;
  since: string | null;
  items: Record<string, number>;
}

/** What an instance did with a graph. `taken`: edge → how often. */
export interface Progress {
  nodes: Map<string, NodeProgress>;
  taken: Map<string, number>;
}

type Graph = Schemas["GraphView"];

/**
 * `maps`: the maps that have begun. Where many items stand in their bodies is not known, so nothing is said of those
 * nodes; `nodes` of an item that is looked at are.
 */
export function progressOf(
  graph: Graph,
  nodes: Schemas["NodeView"][],
  visits: Schemas["VisitView"][],
  maps: Schemas["MapView"][] = [],
): Progress {
  const taken = new Map<string, number>();
  for (const visit of visits) {
    for (const edge of graph.edges) {
      const same = edge.source === visit.node && (edge.label === visit.edge || edge.implied);
      if (same && visit.targets.includes(edge.target)) taken.set(edgeId(edge), (taken.get(edgeId(edge)) ?? 0) + 1);
    }
  }
  const begun = new Set(maps.filter((map) => map.items > 0).map((map) => map.node));
  for (const edge of graph.edges) if (edge.label === "item" && begun.has(edge.source)) taken.set(edgeId(edge), 1);
  const unknown = new Set(graph.nodes.filter((node) => node.map && begun.has(node.map)).map((node) => node.name));
  const shown = nodes.filter((node) => node.visits > 0 || node.state !== "PENDING" || !unknown.has(node.name));
  return { nodes: new Map(shown.map((node) => [node.name, node])), taken };
}

/** Where somebody looks first: what waits, runs or failed, else the way's end. */
export function focusOf(nodes: Schemas["NodeView"][], visits: Schemas["VisitView"][]): string | null {
  for (const state of ["WAITING", "RUNNING", "READY", "FAILED"] as const) {
    const found = nodes.find((node) => node.state === state);
    if (found) return found.name;
  }
  return visits.at(-1)?.node ?? null;
}
