import type { Schemas } from "../api/client";

export const edgeId = (edge: Schemas["GraphEdge"]) => `${edge.source}|${edge.label}|${edge.target}`;

const TYPES: Record<string, string> = {
  entry: "entry",
  async_request: "asks",
  sync_call: "calls",
  event_wait: "waits for an event",
  condition: "decides",
  set_state: "sets",
  log_error: "logs an error",
  fork: "fork",
  map_fork: "for each item",
  join: "join",
  end_branch: "end of the branch",
  end: "end",
};

/** What a type of node does, in a word or two. */
export const typeName = (type: string) => TYPES[type] ?? type.replaceAll("_", " ");
