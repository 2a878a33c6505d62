import { BaseEdge, type Edge, EdgeLabelRenderer, type EdgeProps } from "@xyflow/react";

import type { Schemas } from "../api/client";
import { COLOURS, type Change } from "./changes";
import type { Box } from "./layout";

interface Point {
  x: number;
  y: number;
}

export type RouteEdge = Edge<
  {
    points: Point[];
    label: Box | null;
    edge: Schemas["GraphEdge"];
    times: number;
    change: Change | undefined;
    dim: boolean;
  },
  "route"
>;

/** How far before a corner the line begins to bend (px). */
const BEND = 8;

function towards(from: Point, to: Point, by: number): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const part = Math.min(by, length / 2) / length;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}

/** The SVG path along `points`, with round corners. */
export function path(points: Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  return rest.reduce((drawn, corner, index) => {
    const next = rest[index + 1];
    if (!next) return `${drawn} L ${corner.x} ${corner.y}`;
    const before = towards(corner, points[index] ?? corner, BEND);
    const after = towards(corner, next, BEND);
    return `${drawn} L ${before.x} ${before.y} Q ${corner.x} ${corner.y} ${after.x} ${after.y}`;
  }, `M ${first.x} ${first.y}`);
}

/** An edge along the way that the layout found for it. */
export function Route({ data, markerEnd }: EdgeProps<RouteEdge>) {
  if (!data) return null;
  const { points, label, edge, times, change, dim } = data;
  return (
    <>
      <BaseEdge
        path={path(points)}
        markerEnd={markerEnd}
        className={times ? "edge taken" : "edge"}
        style={{
          stroke: change && COLOURS[change],
          strokeDasharray: edge.closing || change === "removed" ? "6 4" : edge.implied ? "2 4" : undefined,
        }}
      />
      {label && (
        <EdgeLabelRenderer>
          <div
            className="edge-label"
            data-dim={dim}
            style={{ transform: `translate(${label.x}px, ${label.y}px)`, width: label.width, height: label.height }}
          >
            <span>
              {edge.label}
              {times > 1 && <b> ×{times.toLocaleString()}</b>}
            </span>
          </div>
        </EdgeLabelRenderer>
      )}
    </>
  );
}
