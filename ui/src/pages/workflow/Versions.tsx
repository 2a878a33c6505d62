import { lazy, Suspense, useMemo, useState } from "react";
import { Link } from "react-router";

import type { Schemas } from "../../api/client";
import { useDifference, useVersions } from "../../api/queries";
import { changesOf } from "../../graph/changes";
import { Answer, Empty, Loading } from "../../parts/notices";
import { Time } from "../../parts/time";
import { nameOf, shown, what } from "../../parts/version";
import { words } from "../../parts/words";

const Graph = lazy(() => import("../../graph/Graph"));

type Version = Schemas["VersionView"];

function Where({ nodes }: { nodes: Record<string, number> }) {
  const named = Object.entries(nodes).slice(0, 3);
  return <>{named.map(([node, count]) => `${words(node)} (${count})`).join(", ")}</>;
}

function Table({ workflow, versions }: { workflow: string; versions: Version[] }) {
  const of = (version: Version) => `/?workflow=${encodeURIComponent(workflow)}&version=${nameOf(version)}`;
  return (
    <table className="rows">
      <thead>
        <tr>
          <th scope="col">Version</th>
          <th scope="col">Is</th>
          <th scope="col">Since</th>
          <th scope="col">By</th>
          <th scope="col">Live</th>
          <th scope="col">Ended</th>
          <th scope="col">They wait at</th>
          <th scope="col">Oldest</th>
          <th scope="col">Note</th>
        </tr>
      </thead>
      <tbody>
        {versions.map((version) => (
          <tr key={version.digest}>
            <th scope="row" title={version.digest}>
              {shown(version)}
            </th>
            <td>{what(version)}</td>
            <td data-label="since">{version.since && <Time at={version.since} />}</td>
            <td>{version.publisher}</td>
            <td data-label="live">{version.number ? <Link to={of(version)}>{version.live}</Link> : version.live}</td>
            <td data-label="ended">{version.ended}</td>
            <td className="wide">
              <Where nodes={version.nodes} />
            </td>
            <td data-label="oldest">{version.oldest && <Time at={version.oldest} />}</td>
            <td className="muted">{version.note}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Choice({
  label,
  versions,
  chosen,
  choose,
}: {
  label: string;
  versions: Version[];
  chosen: string;
  choose: (name: string) => void;
}) {
  return (
    <label>
      {label}
      <select value={chosen} onChange={(event) => choose(event.target.value)}>
        {versions.map((version) => (
          <option key={version.digest} value={nameOf(version)}>
            {shown(version)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Differs({ found }: { found: Schemas["VersionDifference"] }) {
  const [selected, select] = useState<string | null>(null);
  const changes = useMemo(() => changesOf(found), [found]);
  const keys = [
    ...found.required_added.map((key) => `a start must bring ${key}`),
    ...found.required_removed.map((key) => `a start need not bring ${key} any more`),
    ...found.required_changed.map((key) => `${key} of a start has another form`),
  ];
  if (!changes.size && !keys.length && !found.entry_changed)
    return <Empty title="No difference">Both have the same nodes and ways, and ask for the same keys.</Empty>;
  return (
    <>
      <p className="facts" role="status">
        <span data-change="added">{found.added.length} added</span>
        <span data-change="removed">{found.removed.length} removed</span>
        <span data-change="changed">{Object.keys(found.changed).length} changed</span>
        {keys.map((key) => (
          <span key={key}>{key}</span>
        ))}
        {selected && found.changed[selected] && (
          <span>
            {words(selected)}: {found.changed[selected].join(", ")}
          </span>
        )}
      </p>
      <section className="graph alone" aria-label="What differs">
        <Suspense fallback={<Loading />}>
          <Graph graph={found.graph} changes={changes} selected={selected} select={select} />
        </Suspense>
      </section>
    </>
  );
}

function Compare({ workflow, versions }: { workflow: string; versions: Version[] }) {
  const [to, setTo] = useState(versions[0] ? nameOf(versions[0]) : "");
  const [from, setFrom] = useState(versions[1] ? nameOf(versions[1]) : "");
  const answer = useDifference(workflow, from || null, to);
  return (
    <>
      <div className="filters">
        <Choice label="From version" versions={versions} chosen={from} choose={setFrom} />
        <Choice label="to version" versions={versions} chosen={to} choose={setTo} />
      </div>
      <Answer of={answer}>{(found) => <Differs key={`${found.from_digest}${found.to_digest}`} found={found} />}</Answer>
    </>
  );
}

/** The versions of a workflow with who runs them, and what differs between two of them. */
export function Versions({ workflow }: { workflow: string }) {
  return (
    <Answer of={useVersions(workflow)}>
      {(list) => {
        const chosen = list.items.filter((version) => version.digest);
        return (
          <>
            <Table workflow={workflow} versions={list.items} />
            {!list.complete && <p className="muted">There are more instances than were counted.</p>}
            {chosen.length > 1 && <Compare workflow={workflow} versions={chosen} />}
          </>
        );
      }}
    </Answer>
  );
}
