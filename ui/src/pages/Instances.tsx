import { useEffect, useRef } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";

import { batchSearch, INSTANCE_STATES, useInstances, useWorkflows } from "../api/queries";
import type { Schemas } from "../api/client";
import { Opener } from "../parts/dialog";
import { Answer, Degraded, Empty } from "../parts/notices";
import { Pager, usePages } from "../parts/pager";
import { State } from "../parts/state";
import { Span, Time } from "../parts/time";
import { words } from "../parts/words";
import { BatchDialog } from "./batch/BatchDialog";

type Row = Schemas["InstanceSummary"];

const TIMES: [string, string, number][] = [
  ["", "any time", 0],
  ["1h", "last hour", 3_600],
  ["1d", "last 24 hours", 86_400],
  ["7d", "last 7 days", 7 * 86_400],
  ["30d", "last 30 days", 30 * 86_400],
];

/** Rounded to five minutes, so that the address asked for stays the same for a while. */
function after(choice: string): string {
  const seconds = TIMES.find(([name]) => name === choice)?.[2] ?? 0;
  const grain = 300_000;
  return seconds ? new Date(Math.floor((Date.now() - seconds * 1000) / grain) * grain).toISOString() : "";
}

/** How long typing rests before it is searched for (ms). */
const REST = 250;
/** The page that the address names, which is ahead of what React shows while the page is being loaded. */
const page = () => location.hash.replace(/\?.*/, "");
const INSTANCE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function Search({ value, search }: { value: string; search: (text: string) => void }) {
  const box = useRef<HTMLInputElement>(null);
  const resting = useRef<ReturnType<typeof setTimeout>>(undefined);
  const navigate = useNavigate();
  useEffect(() => () => clearTimeout(resting.current), []);
  useEffect(() => {
    // The address may change from elsewhere, but nothing overwrites what somebody is typing.
    if (box.current && box.current !== document.activeElement) box.current.value = value;
  }, [value]);
  const typed = () => box.current?.value.trim() ?? "";
  const searchNow = () => {
    clearTimeout(resting.current);
    if (typed() !== value) search(typed());
  };
  return (
    <form
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        clearTimeout(resting.current);
        if (INSTANCE_ID.test(typed())) void navigate(`/instances/${typed()}`);
        else searchNow();
      }}
    >
      <input
        ref={box}
        type="search"
        aria-label="Business key or instance id"
        placeholder="Business key, e.g. a bill of lading, or its beginning"
        defaultValue={value}
        onChange={() => {
          const here = page();
          clearTimeout(resting.current);
          // Whoever has gone to another page meanwhile would be fetched back: this one stays until that is loaded.
          resting.current = setTimeout(() => page() === here && searchNow(), REST);
        }}
      />
    </form>
  );
}

const what = (wait: Row["waits"][number]) =>
  wait.kind === "event" ? `event ${wait.event_key}`.trim() : wait.capability;

function WaitsFor({ row }: { row: Row }) {
  const [first] = row.waits;
  if (row.reason) return <span className="reason">{row.reason}</span>;
  if (!first) return null;
  return (
    <>
      <strong>{words(first.node)}</strong>{" "}
      <span className="muted">
        {what(first)}
        {row.waits.length > 1 && ` and ${row.waits.length - 1}${row.waits.length === 5 ? "+" : ""} more`}
      </span>
    </>
  );
}

function Table({ rows }: { rows: Row[] }) {
  const navigate = useNavigate();
  return (
    <table className="rows">
      <thead>
        <tr>
          <th scope="col">Business key</th>
          <th scope="col">State</th>
          <th scope="col">Waits for, or why</th>
          <th scope="col">For</th>
          <th scope="col">Workflow</th>
          <th scope="col">Version</th>
          <th scope="col">Started</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          // A click anywhere in the row is a convenience; the link in it is what the keyboard uses.
          <tr key={row.id} onClick={() => void navigate(`/instances/${row.id}`)}>
            <th scope="row">
              <Link to={`/instances/${row.id}`} onClick={(event) => event.stopPropagation()}>
                {row.correlation_id || row.id}
              </Link>
            </th>
            <td>
              <State state={row.state} />
            </td>
            <td className="wide">
              <WaitsFor row={row} />
            </td>
            <td data-label="for">
              {row.ended ? (
                <Span since={row.started} until={row.ended} />
              ) : (
                <Span since={row.waiting_since ?? row.started} />
              )}
            </td>
            <td className="muted name" title={row.workflow_name}>
              {row.workflow_name}
            </td>
            <td data-label="version" title={row.definition_digest}>
              {row.version ?? row.definition_digest.slice(0, 8)}
            </td>
            <td data-label="started">
              <Time at={row.started} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Instances() {
  const [params, setParams] = useSearchParams();
  const workflows = useWorkflows().data?.items ?? [];
  const pages = usePages();
  const states = params.getAll("state");
  const filter = {
    key: params.get("key") ?? "",
    exact: params.get("exact") === "1",
    states,
    workflow: params.get("workflow") ?? "",
    version: params.get("version") ?? "",
    waitingFor: params.get("for") ?? "",
    incident: params.get("incident") ?? "",
    failedNode: params.get("node") ?? "",
    errorCode: params.get("code") ?? "",
    after: after(params.get("time") ?? ""),
    cursor: pages.cursor,
  };
  const answer = useInstances(filter);
  const set = (name: string, values: string[]) =>
    setParams(
      (before) => {
        const changed = new URLSearchParams(before);
        changed.delete(name);
        changed.delete("page");
        for (const value of values) if (value) changed.append(name, value);
        return changed;
      },
      { replace: true },
    );
  const toggle = (state: string) =>
    set("state", states.includes(state) ? states.filter((each) => each !== state) : [...states, state]);
  const filtered = [...params.keys()].some((name) => name !== "page");
  return (
    <>
      <header className="page">
        <h1>Instances</h1>
        <Search value={filter.key} search={(text) => set("key", [text])} />
      </header>
      <div className="filters">
        <div className="chips" role="group" aria-label="State">
          {INSTANCE_STATES.map((state) => (
            <button key={state} type="button" aria-pressed={states.includes(state)} onClick={() => toggle(state)}>
              <State state={state} />
            </button>
          ))}
        </div>
        <label>
          Workflow
          <select value={filter.workflow} onChange={(event) => set("workflow", [event.target.value])}>
            <option value="">all</option>
            {workflows.map((each) => (
              <option key={each.workflow_id} value={each.workflow_id}>
                {each.name}
              </option>
            ))}
          </select>
        </label>
        {filter.workflow && (
          <label>
            Version
            <input
              value={filter.version}
              placeholder="number or @label"
              onChange={(event) => set("version", [event.target.value.trim()])}
            />
          </label>
        )}
        <label>
          Waits for
          <input
            value={filter.waitingFor}
            placeholder="capability, or event"
            onChange={(event) => set("for", [event.target.value.trim()])}
          />
        </label>
        {(states.includes("FAILED") || filter.failedNode || filter.errorCode) && (
          <>
            <label>
              Failed at
              <input
                value={filter.failedNode}
                placeholder="step"
                onChange={(event) => set("node", [event.target.value.trim()])}
              />
            </label>
            <label>
              Error code
              <input value={filter.errorCode} onChange={(event) => set("code", [event.target.value.trim()])} />
            </label>
          </>
        )}
        <label>
          Started
          <select value={params.get("time") ?? ""} onChange={(event) => set("time", [event.target.value])}>
            {TIMES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        {/* Its place stays when it is not offered: nothing moves under the pointer of who has just searched. */}
        <div style={{ visibility: filtered ? undefined : "hidden" }}>
          <Opener label="Act on all that match">
            {(close) => (
              <BatchDialog
                title="Act on all instances that match"
                search={batchSearch(filter)}
                workflow={filter.workflow}
                first={filter.incident ? "retry" : "hold"}
                close={close}
              />
            )}
          </Opener>
        </div>
      </div>
      {filter.incident && (
        <p className="facts" role="status">
          Instances of one <Link to="/incidents">incident</Link> that nobody has run again
          <button type="button" className="link" onClick={() => set("incident", [])}>
            show all
          </button>
        </p>
      )}
      <Degraded answer={answer.data} />
      <Answer of={answer}>
        {(page) => (
          <>
            {page.items.length ? (
              <Table rows={page.items} />
            ) : filtered ? (
              <Empty title="Nothing matches">
                {page.next_cursor
                  ? "There may be more on the next page."
                  : "Try fewer filters, or the beginning of the key."}
              </Empty>
            ) : (
              <Empty title="Nothing has been started yet">
                Start a workflow <Link to="/workflows">here</Link>, or send START_WORKFLOW to the command queue.
              </Empty>
            )}
            <Pager pages={pages} next={page.next_cursor} />
          </>
        )}
      </Answer>
    </>
  );
}
