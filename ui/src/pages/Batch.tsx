import { Link, useParams, useSearchParams } from "react-router";

import type { Schemas } from "../api/client";
import { useBatch, useBatchResults, useSteer, type BatchResult } from "../api/queries";
import { Confirm, Opener } from "../parts/dialog";
import { Answer, Empty, ErrorNotice } from "../parts/notices";
import { Pager, usePages } from "../parts/pager";
import { Time } from "../parts/time";
import { Bar } from "./batch/Bar";
import { actionName } from "./Batches";

type View = Schemas["BatchView"];

const RESULTS: BatchResult[] = ["done", "skipped", "refused", "failed"];

function Stop({ batch, close }: { batch: View; close: () => void }) {
  const stop = useSteer(batch.id, "stop");
  return (
    <Confirm
      title="Stop this batch"
      action="Stop"
      danger
      pending={stop.isPending}
      error={stop.error}
      confirm={() => stop.mutate({}, { onSuccess: close })}
      close={close}
    >
      <p>
        {batch.left.toLocaleString()} instances stay as they are. What is done stays done, and the batch cannot go on.
      </p>
    </Confirm>
  );
}

function Steering({ batch }: { batch: View }) {
  const pause = useSteer(batch.id, "pause");
  const resume = useSteer(batch.id, "resume");
  const error = pause.error ?? resume.error;
  if (!batch.can_edit || batch.state === "done" || batch.state === "stopped") return null;
  return (
    <>
      <div className="actions">
        {batch.state === "running" ? (
          <button type="button" disabled={pause.isPending} onClick={() => pause.mutate({})}>
            Pause
          </button>
        ) : (
          <button type="button" className="primary" disabled={resume.isPending} onClick={() => resume.mutate({})}>
            Resume
          </button>
        )}
        <Opener label="Stop" className="danger">
          {(close) => <Stop batch={batch} close={close} />}
        </Opener>
      </div>
      {error && <ErrorNotice error={error} />}
    </>
  );
}

const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** Key by key, as it was confirmed. */
function Facts({ title, of }: { title: string; of: Record<string, unknown> }) {
  const entries = Object.entries(of);
  if (entries.length === 0) return null;
  return (
    <>
      <dt>{title}</dt>
      <dd>
        {entries.map(([name, value]) => (
          <div key={name}>
            <span className="muted">{name}</span> {shown(value)}
          </div>
        ))}
      </dd>
    </>
  );
}

function About({ batch }: { batch: View }) {
  const over = batch.total - batch.left;
  return (
    <section aria-label="Progress" className="card">
      <p aria-live="polite">
        <strong>{batch.state}</strong>: {over.toLocaleString()} of {batch.total.toLocaleString()}
        {RESULTS.filter((each) => batch[each] > 0).map((each) => ` · ${batch[each].toLocaleString()} ${each}`)}
      </p>
      <Bar batch={batch} />
      <dl>
        <dt>By</dt>
        <dd>
          {batch.by}, <Time at={batch.created} />
          {batch.ended && (
            <>
              {" "}
              to <Time at={batch.ended} />
            </>
          )}
        </dd>
        {batch.reason && (
          <>
            <dt>Reason</dt>
            <dd>{batch.reason}</dd>
          </>
        )}
        <dt>Rate</dt>
        <dd>at most {batch.rate} a second</dd>
        <Facts title="Action" of={batch.action} />
        <Facts title="Search" of={batch.search} />
        {batch.not_allowed > 0 && (
          <>
            <dt>Left out</dt>
            <dd>{batch.not_allowed.toLocaleString()} that might not be changed</dd>
          </>
        )}
      </dl>
    </section>
  );
}

function Results({ batch }: { batch: View }) {
  const [params, setParams] = useSearchParams();
  const pages = usePages();
  const result = params.get("result") ?? "";
  const isOver = batch.state === "done" || batch.state === "stopped";
  return (
    <section aria-label="Instances">
      <div className="chips words" role="group" aria-label="Result">
        {RESULTS.map((each) => (
          <button
            key={each}
            type="button"
            aria-pressed={result === each}
            onClick={() => setParams(result === each ? {} : { result: each }, { replace: true })}
          >
            {each}
          </button>
        ))}
      </div>
      <Answer of={useBatchResults(batch.id, result, pages.cursor, isOver)}>
        {(page) => (
          <>
            {page.items.length ? (
              <table className="rows">
                <thead>
                  <tr>
                    <th scope="col">Business key</th>
                    <th scope="col">Result</th>
                    <th scope="col">Why</th>
                    <th scope="col">When</th>
                  </tr>
                </thead>
                <tbody>
                  {page.items.map((each) => (
                    <tr key={each.instance_id}>
                      <th scope="row">
                        <Link to={`/instances/${each.instance_id}`}>{each.correlation_id || each.instance_id}</Link>
                      </th>
                      <td data-result={each.result}>{each.result}</td>
                      <td className="wide">{each.reason}</td>
                      <td data-label="when">
                        <Time at={each.at} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            ) : (
              <Empty title="None so far" />
            )}
            <Pager pages={pages} next={page.next_cursor} />
          </>
        )}
      </Answer>
    </section>
  );
}

/** One batch: how far it is, and what has become of each instance. */
export default function Batch() {
  const { id = "" } = useParams();
  return (
    <Answer of={useBatch(id)}>
      {(batch) => (
        <>
          <header className="page">
            <h1>
              {actionName(batch)} <span className="muted">{batch.total.toLocaleString()} instances</span>
            </h1>
            <Steering batch={batch} />
          </header>
          <About batch={batch} />
          <Results batch={batch} />
        </>
      )}
    </Answer>
  );
}
