import { expect, test } from "vitest";

import type { Schemas } from "../api/client";
import { changesOf } from "./changes";
import { edgeId } from "./types";

const edge = (source: string, target: string) => ({ source, label: "next", target, implied: false, closing: false });

test("nodes and ways of a difference have their colours", () => {
  const difference = {
    added: ["C"],
    removed: ["B"],
    changed: { A: ["timeout"] },
    ways_added: ["A --next--> C"],
    ways_removed: ["A --next--> B"],
    graph: { entry: "A", nodes: [], edges: [edge("A", "C"), edge("A", "B"), edge("C", "E")] },
  } as unknown as Schemas["VersionDifference"];

  const found = changesOf(difference);

  expect(found.get("A")).toBe("changed");
  expect(found.get("B")).toBe("removed");
  expect(found.get("C")).toBe("added");
  expect(found.get(edgeId(edge("A", "C")))).toBe("added");
  expect(found.get(edgeId(edge("A", "B")))).toBe("removed");
  expect(found.has(edgeId(edge("C", "E")))).toBe(false);
});
