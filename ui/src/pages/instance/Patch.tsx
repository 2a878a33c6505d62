import { lazy, Suspense, useState } from "react";

import type { Schemas } from "../../api/client";
import { useInstanceGraph, usePatch } from "../../api/queries";
import { Loading } from "../../parts/notices";
import { words } from "../../parts/words";
import { Plan, Reason } from "./Plan";

const JsonForm = lazy(() => import("../../parts/json-form"));

type Detail = Schemas["InstanceDetail"];
type NodeView = Schemas["NodeView"];

/** Whether the instance seems to stand at a node. A join that waits for others looks as if nothing had come yet. */
const standsAt = (node: NodeView) =>
  ["READY", "RUNNING", "WAITING"].includes(node.state) || (node.type === "join" && node.state === "PENDING");

interface NodesProps {
  nodes: NodeView[];
  chosen: string[];
  change: (chosen: string[]) => void;
}

const Boxes = ({ nodes, chosen, change }: NodesProps) =>
  nodes.map(({ name }) => (
    <label key={name}>
      <input
        type="checkbox"
        checked={chosen.includes(name)}
        onChange={(event) => change(event.target.checked ? [...chosen, name] : chosen.filter((each) => each !== name))}
      />{" "}
      {words(name)}
    </label>
  ));

/** The nodes that are to know of it; those where the instance stands come first. */
function Nodes({ nodes, chosen, change }: NodesProps) {
  if (nodes.length < 2) return null;
  const here = nodes.filter(standsAt);
  const others = nodes.filter((node) => !standsAt(node));
  return (
    <fieldset className="choices">
      <legend>Steps that are to know of it (needed if it stands at several)</legend>
      <Boxes nodes={here} chosen={chosen} change={change} />
      {others.length > 0 && (
        <details>
          <summary>Other steps</summary>
          <Boxes nodes={others} chosen={chosen} change={change} />
        </details>
      )}
    </fieldset>
  );
}

interface PatchProps {
  detail: Detail;
  title: string;
  close: () => void;
}

/** Adds to the context of an instance. */
export function PatchDialog({ detail, title, close }: PatchProps) {
  const plan = usePatch(detail.id);
  const graph = useInstanceGraph(detail.id).data;
  const [nodes, setNodes] = useState<string[]>([]);
  const [reason, setReason] = useState("");
  const inBody = new Set(graph?.nodes.filter((each) => each.map).map((each) => each.name));
  return (
    <Plan title={title} action="Patch" detail={detail} plan={plan} close={close}>
      <p className="muted">The steps that come next know what you add. Requests that were sent keep their bodies.</p>
      <Nodes nodes={detail.nodes.filter((each) => !inBody.has(each.name))} chosen={nodes} change={setNodes} />
      <Reason value={reason} change={setReason} />
      <Suspense fallback={<Loading />}>
        <JsonForm
          schema={null}
          start={{}}
          action="Preview"
          pending={plan.preview.isPending}
          error={plan.preview.error}
          send={(patch) => plan.preview.mutate({ patch, nodes, reason })}
        />
      </Suspense>
    </Plan>
  );
}
