import { lazy, Suspense, useMemo } from "react";
import { Link, useParams, useSearchParams } from "react-router";

import type { Schemas } from "../api/client";
import { hasEnded, useInstance, useInstanceGraph, useItem } from "../api/queries";
import { focusOf, progressOf } from "../graph/progress";
import { AirflowLink } from "../parts/airflow-link";
import { Answer, Degraded, ErrorNotice, Loading } from "../parts/notices";
import { State } from "../parts/state";
import { Tabs } from "../parts/tabs";
import { Span, Time } from "../parts/time";
import { Actions } from "./instance/Actions";
import { ContextTree } from "./instance/ContextTree";
import { Errors } from "./instance/Errors";
import { Gates } from "./instance/Gates";
import { Held } from "./instance/Held";
import { NodePanel } from "./instance/NodePanel";
import { Timeline } from "./instance/Timeline";
import { Way } from "./instance/Way";

const Graph = lazy(() => import("../graph/Graph"));

type Detail = Schemas["InstanceDetail"];

/** What is looked at, in the address: it can be sent to somebody. */
function useSelection(detail: Detail, graph: Schemas["GraphView"] | undefined) {
  const [params, setParams] = useSearchParams();
  const node = params.get("node") ?? focusOf(detail.nodes, detail.visits);
  const owner = graph?.nodes.find((each) => each.name === node)?.map ?? node;
  const map = detail.maps.find((each) => each.node === owner) ?? null;
  const item = map && params.has("item") ? Number(params.get("item")) : null;
  const set = (values: Record<string, string | null>) =>
    setParams(
      (before) => {
        const changed = new URLSearchParams(before);
        for (const [name, value] of Object.entries(values)) {
          if (value === null) changed.delete(name);
          else changed.set(name, value);
        }
        return changed;
      },
      { replace: true },
    );
  return {
    node,
    map,
    item,
    tab: params.get("tab") ?? "timeline",
    select: (name: string | null) => {
      const inside = graph?.nodes.find((each) => each.name === name)?.map;
      set(inside && inside === map?.node ? { node: name } : { node: name, item: null });
    },
    selectItem: (index: number | null) => set({ item: index === null ? null : String(index) }),
    openTab: (tab: string) => set({ tab }),
  };
}

const waysOf = (graph: Schemas["GraphView"] | undefined, node: string | null) => [
  ...new Set(graph?.edges.flatMap((edge) => (edge.source === node && edge.label ? edge.label : []))),
];

function Header({ detail }: { detail: Detail }) {
  return (
    <header className="page instance">
      <div>
        <p className="crumbs">
          <Link to="/">Instances</Link> / <Link to={`/workflows/${detail.workflow_id}`}>{detail.workflow_name}</Link>
        </p>
        <h1>
          {detail.correlation_id || detail.id} <State state={detail.state} />
        </h1>
        <p className="facts">
          <span>
            started <Time at={detail.started} />
          </span>
          <span>
            {hasEnded(detail.state) ? "took" : "runs for"} <Span since={detail.started} until={detail.ended} />
          </span>
          {detail.due && (
            <span>
              may run until <Time at={detail.due} />
            </span>
          )}
          {detail.waiting_since && (
            <span>
              waits for <Span since={detail.waiting_since} />
            </span>
          )}
          {detail.definition_digest && (
            <Link to={`/workflows/${detail.workflow_id}?tab=versions`} title={detail.definition_digest}>
              version {detail.version ?? detail.definition_digest.slice(0, 8)}
            </Link>
          )}
          <AirflowLink to={detail.links.airflow_run}>Airflow run</AirflowLink>
          <code title="instance id">{detail.id}</code>
        </p>
        {detail.reason && <p className="reason">{detail.reason}</p>}
      </div>
      <Actions detail={detail} />
    </header>
  );
}

function Page({ detail }: { detail: Detail }) {
  const graph = useInstanceGraph(detail.id);
  const selection = useSelection(detail, graph.data);
  const { node, map, item } = selection;
  const found = useItem(detail.id, map?.node ?? "", map?.visit ?? 1, item).data;
  const one = found?.index === item ? found : undefined;
  const progress = useMemo(() => {
    if (!graph.data) return undefined;
    // An item that is looked at stands for all of them in the body of its map.
    const own = new Map(one?.nodes.map((each) => [each.name, each]));
    const nodes = detail.nodes.map((each) => own.get(each.name) ?? each);
    return progressOf(graph.data, nodes, [...detail.visits, ...(one?.visits ?? [])], detail.maps);
  }, [graph.data, detail, one]);
  return (
    <>
      <Header detail={detail} />
      <Degraded answer={detail} />
      <Gates gates={detail.gates} />
      <Errors errors={detail.errors} select={selection.select} />
      <Held messages={detail.held} />
      <div className="split">
        <section className="graph" aria-label="Workflow">
          {graph.error && <ErrorNotice error={graph.error} />}
          {graph.data && (
            <Suspense fallback={<Loading />}>
              <Graph
                graph={graph.data}
                progress={progress}
                selected={node}
                select={selection.select}
                focus={focusOf(detail.nodes, detail.visits)}
              />
            </Suspense>
          )}
        </section>
        <aside aria-label="Step">
          <NodePanel
            detail={detail}
            graphNode={graph.data?.nodes.find((each) => each.name === node) ?? null}
            ways={waysOf(graph.data, node)}
            name={node}
            map={map}
            item={one ?? null}
            index={item}
            selectItem={selection.selectItem}
          />
        </aside>
      </div>
      <Tabs
        label="More of this instance"
        open={selection.tab}
        select={selection.openTab}
        tabs={[
          { id: "timeline", title: "Timeline", content: () => <Timeline detail={detail} select={selection.select} /> },
          { id: "context", title: "Context", content: () => <ContextTree detail={detail} select={selection.select} /> },
          {
            id: "way",
            title: `Way taken (${detail.visits.length})`,
            content: () => <Way detail={detail} select={selection.select} />,
          },
        ]}
      />
    </>
  );
}

export default function Instance() {
  const { id = "" } = useParams();
  const answer = useInstance(id);
  return <Answer of={answer}>{(detail) => <Page key={id} detail={detail} />}</Answer>;
}
