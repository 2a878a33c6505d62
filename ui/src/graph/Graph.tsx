import "@xyflow/react/dist/style.css";

import { useQuery } from "@tanstack/react-query";
import {
  Background,
  Controls,
  type Edge,
  MarkerType,
  type Node,
  type NodeChange,
  ReactFlow,
  type ReactFlowInstance,
} from "@xyflow/react";
import { useMemo, useRef } from "react";

import type { Schemas } from "../api/client";
import { Loading } from "../parts/notices";
import { layOut, type Layout, NODE } from "./layout";
import { BodyBox, NodeBox, type BodyNode, type StepNode } from "./NodeBox";
import { COLOURS, type Changes } from "./changes";
import type { Load } from "./load";
import type { Progress } from "./progress";
import { Route, type RouteEdge } from "./Route";
import { edgeId } from "./types";

type GraphView = Schemas["GraphView"];

const NODE_TYPES = { step: NodeBox, body: BodyBox };
const EDGE_TYPES = { route: Route };
/** Smaller than this nobody can read. */
const READABLE = 0.6;

interface GraphProps {
  graph: GraphView;
  progress?: Progress;
  changes?: Changes;
  load?: Load;
  selected: string | null;
  select: (node: string | null) => void;
  focus?: string | null;
}

function nodesOf({ graph, progress, changes, load, selected }: GraphProps, layout: Layout): Node[] {
  const bodies = [...layout.bodies].map(([map, box]): BodyNode => {
    const title = graph.nodes.find((node) => node.name === map)?.title ?? map;
    return {
      id: `body of ${map}`,
      type: "body",
      position: { x: box.x, y: box.y },
      width: box.width,
      height: box.height,
      data: { title },
      selectable: false,
      focusable: false,
      zIndex: -1,
    };
  });
  const steps = graph.nodes.flatMap((node): StepNode[] => {
    const box = layout.nodes.get(node.name);
    if (!box) return [];
    return [
      {
        id: node.name,
        type: "step",
        position: { x: box.x, y: box.y },
        ...NODE,
        data: {
          node,
          progress: progress?.nodes.get(node.name) ?? null,
          change: changes?.get(node.name),
          load: load?.nodes.get(node.name),
        },
        selected: node.name === selected,
        ariaLabel: node.title,
      },
    ];
  });
  return [...bodies, ...steps];
}

function edgesOf({ graph, progress, changes, load }: GraphProps, layout: Layout): Edge[] {
  return graph.edges.flatMap((edge): RouteEdge[] => {
    const route = layout.edges.get(edgeId(edge));
    if (!route) return [];
    const times = (progress ?? load)?.taken.get(edgeId(edge)) ?? 0;
    const change = changes?.get(edgeId(edge));
    const color = change ? COLOURS[change] : times ? "var(--taken)" : "var(--edge)";
    return [
      {
        id: edgeId(edge),
        source: edge.source,
        target: edge.target,
        type: "route",
        data: { ...route, edge, times, change, dim: (progress ?? load) !== undefined && times === 0 },
        markerEnd: { type: MarkerType.ArrowClosed, color, width: 16, height: 16 },
        zIndex: times ? 1 : 0,
      },
    ];
  });
}

/** Space around the drawing (px). */
const MARGIN = 24;

/** A readable part of the drawing around `focus`, without empty space beyond its borders. */
function viewport(layout: Layout, size: { width: number; height: number }, focus: string) {
  const zoom = READABLE + 0.15;
  const at = layout.nodes.get(focus) ?? { x: 0, y: 0, ...NODE };
  const shift = (middle: number, end: number, space: number) =>
    Math.min(MARGIN, Math.max(space / 2 - middle * zoom, Math.min(MARGIN, space - MARGIN - end * zoom)));
  return {
    x: shift(at.x + at.width / 2, layout.width, size.width),
    y: shift(at.y + at.height / 2, layout.height, size.height),
    zoom,
  };
}

/** A workflow as its author drew it, loops included; with `progress`, what an instance did there; with `load`, all. */
export default function Graph(props: GraphProps) {
  const { graph, focus, select } = props;
  const place = useRef<HTMLDivElement>(null);
  const { data: layout } = useQuery({
    queryKey: ["layout", graph],
    queryFn: () => layOut(graph),
    staleTime: Infinity,
    refetchOnMount: false,
  });
  const nodes = useMemo(() => (layout ? nodesOf(props, layout) : []), [props, layout]);
  const edges = useMemo(() => (layout ? edgesOf(props, layout) : []), [props, layout]);
  if (!layout) return <Loading />;

  const show = async (flow: ReactFlowInstance) => {
    await flow.fitView({ padding: 0.06, maxZoom: 1 });
    if (flow.getZoom() < READABLE && place.current) {
      await flow.setViewport(viewport(layout, place.current.getBoundingClientRect(), focus ?? graph.entry));
    }
  };
  const change = (changes: NodeChange[]) => {
    for (const each of changes) if (each.type === "select" && each.selected) select(each.id);
  };
  return (
    <div ref={place} className="graph-place">
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        edgeTypes={EDGE_TYPES}
        onInit={(flow) => void show(flow)}
        onNodesChange={change}
        onPaneClick={() => select(null)}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        minZoom={0.1}
        maxZoom={1.6}
        proOptions={{ hideAttribution: false }}
      >
        <Background gap={22} />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}
