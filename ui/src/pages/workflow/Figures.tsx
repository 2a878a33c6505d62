import { lazy, Suspense, useMemo, useState } from "react";
import { Link, useSearchParams } from "react-router";

import { download, type Schemas } from "../../api/client";
import { usePlaces, useStatistics } from "../../api/queries";
import { HEATS, type Heat, loadOf } from "../../graph/load";
import { Answer, Empty, Loading } from "../../parts/notices";
import { duration, Time } from "../../parts/time";
import { words } from "../../parts/words";
import { Days } from "./Days";

const Graph = lazy(() => import("../../graph/Graph"));

type Statistics = Schemas["WorkflowStatistics"];
type Visits = Statistics["nodes"][number] | Statistics["capabilities"][number];

const PERIODS = [7, 30, 90, 365];
const TABLES = ["nodes", "edges", "days", "capabilities"] as const;

const time = (seconds: number | null) => (seconds === null ? "" : duration(seconds));
export const percent = (part: number, whole: number) =>
  whole === 0 ? "" : part === 0 ? "0 %" : part / whole < 0.001 ? "<0.1 %" : `${((100 * part) / whole).toFixed(1)} %`;

function Ends({ ends }: { ends: Statistics["ends"] }) {
  const all = ends.completed + ends.failed + ends.cancelled;
  return (
    <p className="facts">
      <span>
        <strong>{all.toLocaleString()}</strong> ended
      </span>
      <span data-state="FAILED" className="node-state">
        {ends.failed.toLocaleString()} failed ({percent(ends.failed, all) || "0 %"})
      </span>
      <span>{ends.cancelled.toLocaleString()} cancelled</span>
      {ends.again > 0 && <span>{ends.again.toLocaleString()} of them once more</span>}
      {ends.median_seconds !== null && (
        <span>
          from start to end <strong>{time(ends.median_seconds)}</strong> (median), {time(ends.p95_seconds)} (95 %)
        </span>
      )}
    </p>
  );
}

const cells = (one: Visits) => (
  <>
    <td className="number" data-label="visits">
      {one.visits.toLocaleString()}
    </td>
    <td className="number" data-label="median">
      {time(one.median_seconds)}
    </td>
    <td className="number" data-label="95 %">
      {time(one.p95_seconds)}
    </td>
    <td className="number" data-label="longest">
      {time(one.longest_seconds)}
    </td>
    <td className="number" data-label="failed">
      {percent(one.failed, one.visits)}
    </td>
    <td className="number" data-label="timed out">
      {one.timed_out || ""}
    </td>
  </>
);

const HEADS = (
  <>
    <th scope="col">Visits</th>
    <th scope="col">Median</th>
    <th scope="col">95 %</th>
    <th scope="col">Longest</th>
    <th scope="col">Failed</th>
    <th scope="col">Timed out</th>
  </>
);

function Nodes({ found, places }: { found: Statistics; places: Schemas["WorkflowPlaces"] | undefined }) {
  const now = new Map(places?.nodes.map((place) => [place.node, place]));
  return (
    <table className="rows">
      <caption className="sr-only">Nodes</caption>
      <thead>
        <tr>
          <th scope="col">Node</th>
          {HEADS}
          <th scope="col">Here now</th>
          <th scope="col">Since</th>
        </tr>
      </thead>
      <tbody>
        {found.nodes.map((node) => (
          <tr key={node.name} data-failed={node.failed > 0}>
            <th scope="row">
              {words(node.title)} {!node.type && <span className="muted">(of another version)</span>}
            </th>
            {cells(node)}
            <td className="number" data-label="here now">
              {now.get(node.name)?.instances ?? ""}
            </td>
            <td data-label="since">{now.has(node.name) && <Time at={now.get(node.name)?.oldest} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Capabilities({ found }: { found: Statistics }) {
  if (found.capabilities.length === 0) return null;
  return (
    <>
      <h2>Capabilities, the slowest first</h2>
      <table className="rows">
        <caption className="sr-only">Capabilities</caption>
        <thead>
          <tr>
            <th scope="col">Capability</th>
            {HEADS}
          </tr>
        </thead>
        <tbody>
          {found.capabilities.map((one) => (
            <tr key={one.capability} data-failed={one.failed > 0}>
              <th scope="row">{one.capability}</th>
              {cells(one)}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Tables({ workflow, version, days }: { workflow: string; version: string; days: number }) {
  return (
    <p className="facts">
      <span className="muted">CSV:</span>
      {TABLES.map((table) => (
        <a key={table} href={download(`/workflows/${workflow}/statistics.csv`, { table, version, days })} download>
          {table}
        </a>
      ))}
    </p>
  );
}

function Page({ found, version, days }: { found: Statistics; version: string; days: number }) {
  const [heat, setHeat] = useState<Heat>("time");
  const [selected, setSelected] = useState<string | null>(null);
  const places = usePlaces(found.workflow_id, version).data;
  const load = useMemo(() => loadOf(found, heat, places), [found, heat, places]);
  return (
    <>
      <Ends ends={found.ends} />
      {places && (
        <p className="facts">
          <Link to={`/?workflow=${encodeURIComponent(found.workflow_id)}&state=RUNNING&state=WAITING`}>
            {places.complete ? "" : "at least "}
            {places.running.toLocaleString()} running now
          </Link>
          {places.working > 0 && <span>{places.working.toLocaleString()} of them wait for nobody</span>}
        </p>
      )}
      <div className="filters">
        <label>
          Colour by
          <select value={heat} onChange={(event) => setHeat(event.target.value as Heat)}>
            {Object.entries(HEATS).map(([name, title]) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      {found.graph ? (
        <section className="graph alone" aria-label="Workflow with figures">
          <Suspense fallback={<Loading />}>
            <Graph graph={found.graph} load={load} selected={selected} select={setSelected} />
          </Suspense>
        </section>
      ) : (
        <Empty title="There is no graph">Nobody has this version any more.</Empty>
      )}
      <h2>By day</h2>
      <Days days={found.days} />
      <h2>Nodes</h2>
      <Nodes found={found} places={places} />
      <Capabilities found={found} />
      <Tables workflow={found.workflow_id} version={version} days={days} />
    </>
  );
}

/** A workflow over all its instances: how often, how long, how often in vain, and where they are now. */
export function Figures({ workflow }: { workflow: string }) {
  const [params, setParams] = useSearchParams();
  const days = Number(params.get("days") ?? 30);
  const version = params.get("version") ?? "";
  const choose = (name: string, value: string) =>
    setParams(
      (before) => {
        before.set(name, value);
        return before;
      },
      { replace: true },
    );
  const answer = useStatistics(workflow, version, days);
  return (
    <>
      <div className="filters">
        <label>
          Ended in
          <select value={days} onChange={(event) => choose("days", event.target.value)}>
            {PERIODS.map((period) => (
              <option key={period} value={period}>
                the last {period} days
              </option>
            ))}
          </select>
        </label>
        <label>
          Version
          <select value={version} onChange={(event) => choose("version", event.target.value)}>
            <option value="">all</option>
            {answer.data?.versions
              .filter((one) => one.number !== null)
              .map((one) => (
                <option key={one.digest} value={String(one.number)}>
                  {one.number} ({one.ended.toLocaleString()})
                </option>
              ))}
          </select>
        </label>
      </div>
      <Answer of={answer}>{(found) => <Page found={found} version={version} days={days} />}</Answer>
    </>
  );
}
