import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";

import type { Schemas } from "../../api/client";
import { useBatchPreview, useBatchStart, type BatchSearch, type BatchWish } from "../../api/queries";
import { ConfirmForm, Dialog } from "../../parts/dialog";
import { Loading } from "../../parts/notices";
import { words } from "../../parts/words";
import { PreviewForm, Reason } from "../instance/Plan";
import { actionOf, Fields, KINDS, takesJson, type Kind, type Written } from "./Fields";

const JsonForm = lazy(() => import("../../parts/json-form"));

const FASTEST = 1000;
const places = (nodes: string[]) => nodes.map(words).join(", ") || "no step";

function Example({ one }: { one: Schemas["BatchExample"] }) {
  const way = one.before.length + one.after.length > 0 && `${places(one.before)} → ${places(one.after)}`;
  return (
    <li>
      <strong>{one.correlation_id || one.id}</strong> {one.possible ? way : `not possible: ${one.refused}`}
    </li>
  );
}

const counts = (of: Record<string, number>) =>
  Object.entries(of)
    .map(([name, count]) => `${count.toLocaleString()} ${name}`)
    .join(", ");

/** What would be done. It takes the focus, because the form that asked for it is not seen any more. */
function What({ seen }: { seen: Schemas["BatchPreview"] }) {
  const ref = useRef<HTMLDListElement>(null);
  useEffect(() => ref.current?.focus(), []);
  return (
    <dl ref={ref} tabIndex={-1} aria-label="What will be done">
      <dt>Instances</dt>
      <dd>{seen.count.toLocaleString()}</dd>
      {seen.count > 0 && (
        <>
          <dt>Of</dt>
          <dd>{counts(seen.workflows)}</dd>
          <dt>They are</dt>
          <dd>{counts(seen.statuses)}</dd>
        </>
      )}
      {seen.not_allowed > 0 && (
        <>
          <dt>Left out</dt>
          <dd>{seen.not_allowed.toLocaleString()} that you may not change</dd>
        </>
      )}
      {seen.examples.length > 0 && (
        <>
          <dt>For example</dt>
          <dd>
            <ul className="plain">
              {seen.examples.map((one) => (
                <Example key={one.id} one={one} />
              ))}
            </ul>
          </dd>
        </>
      )}
    </dl>
  );
}

interface BatchDialogProps {
  title: string;
  search: BatchSearch;
  /** The one workflow that the search is for, if it is for one: only there are versions to move to. */
  workflow: string;
  first: Kind;
  close: () => void;
}

/** First what is wanted, then how many it is for; only then it begins, and its page opens. */
export function BatchDialog({ title, search, workflow, first, close }: BatchDialogProps) {
  const preview = useBatchPreview();
  const start = useBatchStart();
  const navigate = useNavigate();
  // One batch, however often it is sent.
  const [id] = useState(() => crypto.randomUUID());
  const [written, setWritten] = useState<Written>({
    kind: first,
    node: "",
    verdict: "completed",
    edge: "",
    version: "",
    renames: "",
  });
  const [rate, setRate] = useState("10");
  const [reason, setReason] = useState("");
  // A group of failures is of one workflow, which a search for it need not name; a move needs it named.
  const meant = written.kind === "move" && workflow ? { ...search, workflow_id: workflow } : search;
  const perSecond = Number(rate);
  const wrongRate = !(perSecond >= 0.01 && perSecond <= FASTEST);
  const ask = (json: Record<string, unknown>) => {
    const action = actionOf(written, json);
    if (action && !wrongRate) preview.mutate({ search: meant, action, reason });
  };
  const begin = (wish: BatchWish, expected: number) =>
    start.mutate(
      { ...wish, expected, rate: perSecond, id },
      { onSuccess: (batch) => void navigate(`/batches/${batch.id}`) },
    );
  const back = () => {
    preview.reset();
    start.reset();
  };
  const asked = { pending: preview.isPending, error: preview.error };
  return (
    <Dialog title={title} close={close}>
      <div hidden={preview.isSuccess}>
        <div className="dialog-body">
          <p className="muted">The server does it, one instance after the other, also when nobody looks.</p>
          <label>
            Action
            <select
              value={written.kind}
              onChange={(event) => setWritten({ ...written, kind: event.target.value as Kind })}
            >
              {Object.entries(KINDS).map(([kind, name]) => (
                <option key={kind} value={kind}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          <Fields
            workflow={workflow}
            written={written}
            change={(part) => setWritten((before) => ({ ...before, ...part }))}
          />
          <label>
            Instances a second, at the most
            <input
              inputMode="decimal"
              value={rate}
              aria-invalid={wrongRate}
              onChange={(event) => setRate(event.target.value.trim())}
            />
          </label>
          {wrongRate && (
            <p className="problem" role="alert">
              Give a number from 0.01 to {FASTEST}.
            </p>
          )}
          <Reason value={reason} change={setReason} />
          {takesJson(written) ? (
            <Suspense fallback={<Loading />}>
              <JsonForm schema={null} start={{}} action="Preview" {...asked} send={ask} />
            </Suspense>
          ) : (
            <PreviewForm {...asked} ask={() => ask({})} />
          )}
        </div>
      </div>
      {preview.isSuccess && (
        <ConfirmForm
          action={`${KINDS[written.kind]}: ${preview.data.count.toLocaleString()}`}
          danger={written.kind === "cancel"}
          pending={start.isPending}
          error={start.error}
          disabled={preview.data.count === 0}
          confirm={() => begin(preview.variables, preview.data.count)}
          back={back}
        >
          <What seen={preview.data} />
        </ConfirmForm>
      )}
    </Dialog>
  );
}
