import type { CSSProperties } from "react";
import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";

import type { Schemas } from "../api/client";
import { SIGNS, stateName, type AnyState } from "../parts/state";
import { duration, Span } from "../parts/time";
import type { Change } from "./changes";
import type { NodeLoad } from "./load";
import type { NodeProgress } from "./progress";
import { typeName } from "./types";
import { words } from "../parts/words";

type GraphNode = Schemas["GraphNode"];

export type StepNode = Node<
  {
    node: GraphNode;
    progress: NodeProgress | null;
    change?: Change | undefined;
    load?: NodeLoad | undefined;
  },
  "step"
>;
export type BodyNode = Node<{ title: string }, "body">;

const isLive = (state: AnyState) => state === "WAITING" || state === "RUNNING";

function Items({ items }: { items: Record<string, number> }) {
  return (
    <span className="node-items">
      {Object.entries(items).map(([state, count]) => (
        <span key={state} data-state={state} title={`${count} ${stateName(state as AnyState)}`}>
          {SIGNS[state as AnyState]}
          {count}
        </span>
      ))}
    </span>
  );
}

function LoadOf({ load }: { load: NodeLoad }) {
  const failed = load.visits ? Math.round((100 * load.failed) / load.visits) : 0;
  return (
    <span className="node-load">
      {load.now > 0 && <span data-state="WAITING">{load.now} now</span>}
      {load.p95 !== null && <span title="95 % take at most so long">{duration(load.p95)}</span>}
      {load.failed > 0 && <span data-state="FAILED">{failed || "<1"} % failed</span>}
    </span>
  );
}

export function NodeBox({ data: { node, progress, change, load } }: NodeProps<StepNode>) {
  const detail = node.capability || node.event_key;
  return (
    <div
      className="node"
      data-state={progress?.state}
      data-change={change}
      data-type={node.type}
      data-heat={load && ""}
      style={load && ({ "--heat": `${Math.round(load.heat * 45)}%` } as CSSProperties)}
      title={node.description || node.name}
    >
      <Handle type="target" position={Position.Top} />
      <div className="node-title">
        <span>{words(node.title)}</span>
        {change && <b>{change}</b>}
        {load && <b aria-label={`${load.visits} visits`}>{load.visits.toLocaleString()}</b>}
        {progress && progress.visits > 1 && <b aria-label={`${progress.visits} visits`}>×{progress.visits}</b>}
      </div>
      <div className="node-detail">
        {progress && (
          <span className="node-state">
            <span aria-hidden="true">{SIGNS[progress.state]}</span> {stateName(progress.state)}
            {isLive(progress.state) && progress.since && (
              <>
                {" "}
                <Span since={progress.since} />
              </>
            )}
          </span>
        )}
        {load && load.visits + load.now > 0 ? (
          <LoadOf load={load} />
        ) : progress && Object.keys(progress.items).length > 0 ? (
          <Items items={progress.items} />
        ) : (
          <span className="node-type">
            {progress ? detail : [typeName(node.type), detail].filter(Boolean).join(" ")}
          </span>
        )}
      </div>
      <Handle type="source" position={Position.Bottom} />
    </div>
  );
}

export const BodyBox = ({ data }: NodeProps<BodyNode>) => (
  <div className="body-box">
    <span>for each item of “{words(data.title)}”</span>
  </div>
);
