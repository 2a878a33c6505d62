import type { Schemas } from "../../api/client";
import { typeName } from "../../graph/types";
import { AirflowLink } from "../../parts/airflow-link";
import { JsonTree } from "../../parts/json";
import { Empty } from "../../parts/notices";
import { State } from "../../parts/state";
import { Span, Time } from "../../parts/time";
import { ContractFacts } from "../../parts/contract";
import { Expressions } from "./Expressions";
import { ItemHeader, Items } from "./Items";
import { NodeActions } from "./NodeActions";
import { Requests } from "./Requests";
import { SendEvent } from "./SendEvent";
import { words } from "../../parts/words";

type Detail = Schemas["InstanceDetail"];
type NodeView = Schemas["NodeView"];

interface NodePanelProps {
  detail: Detail;
  graphNode: Schemas["GraphNode"] | null;
  /** Labels of the edges that leave it. */
  ways: string[];
  name: string | null;
  map: Schemas["MapView"] | null;
  item: Schemas["MapItemDetail"] | null;
  index: number | null;
  selectItem: (index: number | null) => void;
}

/** An item knows what it did; else the instance does. */
interface Source {
  nodes: NodeView[];
  visits: Detail["visits"];
  requests: Detail["requests"];
  event_waits: Detail["event_waits"];
}

function Title({ node, graphNode }: { node: NodeView; graphNode: NodePanelProps["graphNode"] }) {
  return (
    <header>
      <h2>
        {words(node.title)} <State state={node.state} />
      </h2>
      <p className="facts">
        <span>{typeName(node.type)}</span>
        {graphNode?.capability && <code>{graphNode.capability}</code>}
        {node.visits > 0 && <span>{node.visits === 1 ? "visited once" : `visited ${node.visits} times`}</span>}
        {node.seconds !== null && node.state !== "WAITING" && <span>took {node.seconds.toFixed(1)} s</span>}
        {node.edge && (
          <span>
            left by <code>{node.edge}</code>
          </span>
        )}
        <AirflowLink to={node.task_url}>Airflow’s log</AirflowLink>
      </p>
      {graphNode?.description && <p className="muted">{graphNode.description}</p>}
      {node.reason && <p className="reason">{node.reason}</p>}
      {graphNode?.contract && <ContractFacts capability={graphNode.capability} contract={graphNode.contract} />}
    </header>
  );
}

type EventWait = Schemas["EventWaitView"];

function Waits({
  waits,
  detail,
  graphNode,
}: {
  waits: EventWait[];
  detail: Detail;
  graphNode: NodePanelProps["graphNode"];
}) {
  return (
    <>
      {waits.toReversed().map((wait) => (
        <div key={wait.id} className="wait">
          <p>
            {wait.state === "open" ? "Waits" : wait.state === "event" ? "Waited" : "Waited in vain"} for an event
            {wait.event_key && (
              <>
                {" "}
                with <code>{wait.event_key}</code>
              </>
            )}
            : <Span since={wait.created} until={wait.closed} />
            {wait.deadline && wait.state === "open" && (
              <>
                , until <Time at={wait.deadline} />
              </>
            )}
          </p>
          {wait.state === "open" && detail.allowed.includes("event") && (
            <SendEvent
              instance={detail.id}
              title={graphNode?.title ?? wait.node}
              eventKey={wait.event_key}
              path={wait.branch_path}
              schema={graphNode?.payload_schema ?? null}
            />
          )}
        </div>
      ))}
    </>
  );
}

/** All about one step: what was sent, what came back, what it changed, and what can be done. */
export function NodePanel({ detail, graphNode, ways, name, map, item, index, selectItem }: NodePanelProps) {
  const inBody = map !== null && name !== map.node;
  const source: Source = inBody && item ? item : detail;
  const node = source.nodes.find((each) => each.name === name) ?? detail.nodes.find((each) => each.name === name);
  if (!node) return <Empty title="Choose a step">Its request, reply and log are shown here.</Empty>;

  const requests = source.requests.filter((each) => each.node === name);
  const waits = source.event_waits.filter((each) => each.node === name);
  const growing = detail.nodes.some((each) => each.name === map?.node && each.state === "RUNNING");
  const breaches = source.visits.filter((each) => each.node === name && each.breach);
  const changes = source.visits.filter((each) => each.node === name && Object.keys(each.changed).length > 0);
  return (
    <>
      <Title node={node} graphNode={graphNode} />
      {item && <ItemHeader item={item} close={() => selectItem(null)} />}
      <Waits waits={waits} detail={detail} graphNode={graphNode} />
      <NodeActions key={`actions ${name}`} detail={detail} node={node} graphNode={graphNode} ways={ways} />
      <Requests
        key={`${name} ${item?.branch}`}
        instance={detail.id}
        requests={requests}
        mayResend={detail.allowed.includes("resend")}
      />
      {breaches.map((visit) => (
        <p key={visit.visit} className="reason" role="note">
          Visit {visit.visit}: {visit.breach}
        </p>
      ))}
      {graphNode !== null && graphNode.expressions > 0 && (
        <Expressions
          key={`expressions ${name} ${item?.branch}`}
          instance={detail.id}
          node={graphNode.name}
          count={graphNode.expressions}
          item={inBody && index !== null ? { map: map.node, index } : null}
        />
      )}
      {changes.length > 0 && (
        <section>
          <h3>What it changed</h3>
          {changes.toReversed().map((visit) => (
            <div key={visit.visit}>
              {changes.length > 1 && <p className="muted">visit {visit.visit}</p>}
              <JsonTree value={visit.changed} open={changes.length === 1} />
            </div>
          ))}
        </section>
      )}
      {map && <Items instance={detail.id} map={map} growing={growing} index={index} select={selectItem} />}
    </>
  );
}
