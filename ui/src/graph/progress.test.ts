import type { Schemas } from "../api/client";
import { progressOf } from "./progress";

const node = (name: string, map: string | null = null) => ({ name, map }) as Schemas["GraphNode"];
const edge = (source: string, label: string, target: string) => ({
  source,
  label,
  target,
  implied: false,
  closing: false,
});
const visit = (from: string, label: string, targets: string[]) =>
  ({ node: from, edge: label, targets }) as Schemas["VisitView"];

describe("what an instance did with a graph", () => {
  it("counts how often each edge of a loop was taken", () => {
    const graph = {
      entry: "Ask",
      nodes: [node("Ask"), node("Check"), node("Done")],
      edges: [edge("Ask", "on_response", "Check"), edge("Check", "ERROR", "Ask"), edge("Check", "SUCCESS", "Done")],
      regions: [],
    };
    const round = [visit("Ask", "on_response", ["Check"]), visit("Check", "ERROR", ["Ask"])];

    const { taken } = progressOf(graph, [], [...round, ...round, visit("Ask", "on_response", ["Check"])]);

    expect(Object.fromEntries(taken)).toEqual({ "Ask|on_response|Check": 3, "Check|ERROR|Ask": 2 });
  });

  it("says nothing of the nodes of a map whose items stand everywhere", () => {
    const graph = {
      entry: "All",
      nodes: [node("All"), node("One", "All")],
      edges: [edge("All", "item", "One")],
      regions: [],
    };
    const nodes = ["All", "One"].map((name) => ({ name, state: "PENDING", visits: 0 }) as Schemas["NodeView"]);

    const { nodes: shown, taken } = progressOf(graph, nodes, [], [{ node: "All", items: 5 } as Schemas["MapView"]]);

    expect([...shown.keys()]).toEqual(["All"]);
    expect(taken.get("All|item|One")).toBe(1);
  });
});
