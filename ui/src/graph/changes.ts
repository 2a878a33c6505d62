import type { Schemas } from "../api/client";
import { edgeId } from "./types";

export type Change = "added" | "removed" | "changed";
/** Node, or edge by its id → what has become of it. */
export type Changes = Map<string, Change>;

export const COLOURS: Record<Change, string> = {
  added: "var(--green)",
  removed: "var(--red)",
  changed: "var(--amber)",
};

const way = (edge: Schemas["GraphEdge"]) => `${edge.source} --${edge.label}--> ${edge.target}`;

/** What is drawn in colour of the difference between two versions. */
export function changesOf(difference: Schemas["VersionDifference"]): Changes {
  const found: Changes = new Map();
  for (const name of Object.keys(difference.changed)) found.set(name, "changed");
  for (const name of difference.added) found.set(name, "added");
  for (const name of difference.removed) found.set(name, "removed");
  for (const edge of difference.graph.edges) {
    if (difference.ways_added.includes(way(edge))) found.set(edgeId(edge), "added");
    if (difference.ways_removed.includes(way(edge))) found.set(edgeId(edge), "removed");
  }
  return found;
}
