import type { ElkExtendedEdge, ElkNode, ElkPoint, LayoutOptions } from "elkjs/lib/elk-api";
import ELK from "elkjs/lib/elk-api";
import ElkWorker from "elkjs/lib/elk-worker.min.js?worker";

import type { Schemas } from "../api/client";
import { edgeId } from "./types";

type GraphView = Schemas["GraphView"];

export const NODE = { width: 216, height: 60 };

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Where everything stands, in pixels. `bodies`: map → the box around what runs for each of its items. */
export interface Layout {
  width: number;
  height: number;
  nodes: Map<string, Box>;
  bodies: Map<string, Box>;
  edges: Map<string, { points: ElkPoint[]; label: Box | null }>;
}

const BODY = "body of ";

const OPTIONS: LayoutOptions = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.hierarchyHandling": "INCLUDE_CHILDREN",
  "elk.json.shapeCoords": "ROOT",
  "elk.json.edgeCoords": "ROOT",
  "elk.edgeRouting": "ORTHOGONAL",
  "elk.spacing.nodeNode": "36",
  "elk.spacing.edgeNode": "18",
  "elk.spacing.edgeEdge": "14",
  "elk.layered.spacing.nodeNodeBetweenLayers": "44",
  "elk.layered.spacing.edgeNodeBetweenLayers": "18",
  // Loops go back up: the author's order says what comes first.
  "elk.layered.cycleBreaking.strategy": "MODEL_ORDER",
  "elk.layered.considerModelOrder.strategy": "PREFER_NODES",
  "elk.layered.feedbackEdges": "true",
};

function elkGraph(graph: GraphView): ElkNode {
  const children = (map: string | null): ElkNode[] =>
    graph.nodes
      .filter((node) => node.map === map)
      .flatMap((node): ElkNode[] => {
        const box = { id: node.name, ...NODE };
        const inside = graph.nodes.some((each) => each.map === node.name) ? children(node.name) : [];
        if (inside.length === 0) return [box];
        return [
          box,
          {
            id: BODY + node.name,
            children: inside,
            layoutOptions: { "elk.padding": "[top=34,left=16,bottom=16,right=16]" },
          },
        ];
      });
  const edges = graph.edges.map((edge): ElkExtendedEdge => ({
    id: edgeId(edge),
    sources: [edge.source],
    targets: [edge.target],
    labels: edge.label ? [{ text: edge.label, width: edge.label.length * 6.4 + 40, height: 18 }] : [],
  }));
  return { id: "root", layoutOptions: OPTIONS, children: children(null), edges };
}

const boxOf = (shape: Partial<Box>): Box => ({
  x: shape.x ?? 0,
  y: shape.y ?? 0,
  width: shape.width ?? 0,
  height: shape.height ?? 0,
});

function read(root: ElkNode): Layout {
  const layout: Layout = {
    width: root.width ?? 0,
    height: root.height ?? 0,
    nodes: new Map(),
    bodies: new Map(),
    edges: new Map(),
  };
  const walk = (node: ElkNode) => {
    for (const child of node.children ?? []) {
      if (child.id.startsWith(BODY)) layout.bodies.set(child.id.slice(BODY.length), boxOf(child));
      else layout.nodes.set(child.id, boxOf(child));
      walk(child);
    }
  };
  walk(root);
  for (const edge of root.edges ?? []) {
    const [section] = edge.sections ?? [];
    const [label] = edge.labels ?? [];
    if (section) {
      const points = [section.startPoint, ...(section.bendPoints ?? []), section.endPoint];
      layout.edges.set(edge.id, { points, label: label ? boxOf(label) : null });
    }
  }
  return layout;
}

// In a worker: five hundred nodes take a while, and the page must not stand still.
const elk = new ELK({ workerFactory: () => new ElkWorker() });

export async function layOut(graph: GraphView): Promise<Layout> {
  return read(await elk.layout(elkGraph(graph)));
}
