import { Link } from "react-router";

import type { Schemas } from "../api/client";
import { useIncidents, type BatchSearch } from "../api/queries";
import { Opener } from "../parts/dialog";
import { Answer, Empty } from "../parts/notices";
import { duration, Time } from "../parts/time";
import { words } from "../parts/words";
import { BatchDialog } from "./batch/BatchDialog";

type Incident = Schemas["IncidentView"];

const KINDS: Record<Incident["kind"], string> = {
  failed: "Failed instances",
  late: "Waits over their usual time",
  start: "Starts that wait for their run",
  definition: "Definitions with errors",
  orphan: "Messages that found nobody",
};

const search = (values: Record<string, string>) => `/?${new URLSearchParams(values).toString()}`;

/** Where the members of a group are. */
export function leadsTo(one: Incident): string {
  switch (one.kind) {
    case "failed":
      return search({ incident: one.id, state: "FAILED" });
    case "late":
      return search({ workflow: one.workflow_id, state: "WAITING", for: one.capability || "event" });
    case "start":
      return search({ workflow: one.workflow_id, state: "PENDING" });
    case "definition":
      return `/workflows/${encodeURIComponent(one.workflow_id)}?tab=yaml`;
    case "orphan":
      return "/messages";
  }
}

/** What a group's batch is for; of definitions and messages there is none. */
function searchFor(one: Incident): BatchSearch | null {
  switch (one.kind) {
    case "failed":
      return { incident: one.id, state: ["FAILED"] };
    case "late":
      return { workflow_id: one.workflow_id, state: ["WAITING"], waiting_for: one.capability || "event" };
    case "start":
      return { workflow_id: one.workflow_id, state: ["PENDING"] };
    case "definition":
    case "orphan":
      return null;
  }
}

function GroupBatch({ one }: { one: Incident }) {
  const search = searchFor(one);
  if (!search) return null;
  const isFailed = one.kind === "failed";
  return (
    <Opener label={isFailed ? "Retry all" : "Act on all"}>
      {(close) => (
        <BatchDialog
          title={isFailed ? `Retry all: ${one.title}` : `Act on all: ${one.title}`}
          search={search}
          workflow={one.workflow_id}
          first={isFailed ? "retry" : one.kind === "start" ? "cancel" : "hold"}
          close={close}
        />
      )}
    </Opener>
  );
}

/** How many came on each day, as bars. */
function Trend({ days }: { days: number[] }) {
  const most = Math.max(...days, 1);
  const [yesterday = 0, today = 0] = days.slice(-2);
  return (
    <svg
      className="trend"
      viewBox={`0 0 ${days.length} 10`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${today} today, ${yesterday} the day before`}
    >
      <title>{`${today} today, ${yesterday} the day before`}</title>
      {days.map((count, day) => {
        const height = (10 * count) / most;
        return <rect key={day} x={day + 0.1} y={10 - height} width={0.8} height={height} />;
      })}
    </svg>
  );
}

const inWords = (one: Incident) =>
  one.kind === "failed" || one.kind === "late" ? (
    <>
      <strong>{one.node ? words(one.node) : "before any node"}</strong> {one.code && <code>{one.code}</code>}
    </>
  ) : (
    <>
      <strong>{one.capability || one.examples[0]}</strong> {one.code && <code>{one.code}</code>}
    </>
  );

function Group({ one }: { one: Incident }) {
  const [example] = one.kind === "definition" ? [] : one.examples;
  return (
    <tr data-failed={one.kind === "failed"}>
      <th scope="row">
        <Link to={leadsTo(one)} aria-label={`${one.count.toLocaleString()} ${one.title}`}>
          {one.count.toLocaleString()}
        </Link>
      </th>
      <td className="wide">
        {one.workflow_id && (
          <Link to={`/workflows/${encodeURIComponent(one.workflow_id)}?tab=figures`}>{one.workflow_id}</Link>
        )}{" "}
        {inWords(one)}
        {one.pattern && <div className="reason">{one.pattern}</div>}
        {one.usual_seconds !== null && <div className="muted">usually at most {duration(one.usual_seconds)}</div>}
      </td>
      <td data-label="by day">{one.days.length > 0 && <Trend days={one.days} />}</td>
      <td data-label="first">
        <Time at={one.first} />
      </td>
      <td data-label="last">
        <Time at={one.last} />
      </td>
      <td data-label="for example">
        {example && one.workflow_id && <Link to={`/instances/${example}`}>{example.slice(0, 13)}</Link>}
      </td>
      <td>
        <GroupBatch one={one} />
      </td>
    </tr>
  );
}

function Groups({ kind, items }: { kind: Incident["kind"]; items: Incident[] }) {
  if (items.length === 0) return null;
  return (
    <section aria-label={KINDS[kind]}>
      <h2>{KINDS[kind]}</h2>
      <table className="rows incidents">
        <thead>
          <tr>
            <th scope="col">Cases</th>
            <th scope="col">What</th>
            <th scope="col">By day</th>
            <th scope="col">{kind === "late" ? "Since" : "First"}</th>
            <th scope="col">Last</th>
            <th scope="col">For example</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <Group key={one.id} one={one} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function List({ found }: { found: Schemas["IncidentList"] }) {
  if (found.items.length === 0) {
    return (
      <Empty title="Nothing needs a person">
        No failed instance waits to be run again, nothing waits for longer than usual, and every message found somebody.
      </Empty>
    );
  }
  return (
    <>
      <p className="muted">
        Failures and messages since <Time at={found.since} />.
        {!found.complete && " There is more than was looked at: counts are too small."}
      </p>
      {(Object.keys(KINDS) as Incident["kind"][]).map((kind) => (
        <Groups key={kind} kind={kind} items={found.items.filter((one) => one.kind === kind)} />
      ))}
    </>
  );
}

/** What needs a person, in groups that lead to their members. */
export default function Incidents() {
  return (
    <>
      <header className="page">
        <h1>Incidents</h1>
      </header>
      <Answer of={useIncidents()}>{(found) => <List found={found} />}</Answer>
    </>
  );
}
