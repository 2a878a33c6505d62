import { lazy, Suspense, useState } from "react";

import type { Schemas } from "../../api/client";
import { useDecide, useRetry } from "../../api/queries";
import { Opener } from "../../parts/dialog";
import { Loading } from "../../parts/notices";
import { words } from "../../parts/words";
import { Plan, PreviewForm, Reason } from "./Plan";

const JsonForm = lazy(() => import("../../parts/json-form"));

type Detail = Schemas["InstanceDetail"];
type NodeView = Schemas["NodeView"];
type Verdict = Schemas["DecideBody"]["verdict"];

interface DialogProps {
  detail: Detail;
  node: NodeView;
  close: () => void;
}

const visitsOf = (detail: Detail, node: NodeView) =>
  detail.visits.filter((each) => each.node === node.name).map((each) => each.visit);

function RetryDialog({ detail, node, close }: DialogProps) {
  const plan = useRetry(detail.id);
  const visits = visitsOf(detail, node);
  // What is previewed is done: a visit that comes meanwhile is not meant.
  const [visit, setVisit] = useState(visits.at(-1) ?? null);
  const [reason, setReason] = useState("");
  return (
    <Plan title={`Retry from ${words(node.title)}`} action="Retry" detail={detail} plan={plan} close={close}>
      <p className="muted">
        The step begins anew, and what came after it does not count any more. A service is asked once more.
      </p>
      <PreviewForm
        pending={plan.preview.isPending}
        error={plan.preview.error}
        ask={() => plan.preview.mutate({ node: node.name, visit, reason })}
      >
        {visits.length > 1 && (
          <label>
            From visit
            <select value={visit ?? ""} onChange={(event) => setVisit(Number(event.target.value))}>
              {visits.toReversed().map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
        )}
        <Reason value={reason} change={setReason} />
      </PreviewForm>
    </Plan>
  );
}

const VERDICTS: Record<Verdict, string> = {
  completed: "completed: it has done its work",
  skipped: "skipped: it is passed by",
  failed: "failed",
};

interface DecideProps extends DialogProps {
  graphNode: Schemas["GraphNode"] | null;
  ways: string[];
}

function DecideDialog({ detail, node, graphNode, ways, close }: DecideProps) {
  const plan = useDecide(detail.id);
  const [verdict, setVerdict] = useState<Verdict>("completed");
  const [edge, setEdge] = useState("");
  const [reason, setReason] = useState("");
  const schema = graphNode?.payload_schema ?? null;
  const eventKey = graphNode?.event_key;
  const asked = { pending: plan.preview.isPending, error: plan.preview.error };
  const ask = (payload: Record<string, unknown>) =>
    plan.preview.mutate({ node: node.name, verdict, payload, edge, reason });
  return (
    <Plan title={`Decide ${words(node.title)} by hand`} action="Decide" detail={detail} plan={plan} close={close}>
      <p className="muted">The step does not wait any more; its outcome says who decided, and why.</p>
      <label>
        Verdict
        <select value={verdict} onChange={(event) => setVerdict(event.target.value as Verdict)}>
          {Object.entries(VERDICTS).map(([name, title]) => (
            <option key={name} value={name}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <label>
        Way
        <select value={edge} onChange={(event) => setEdge(event.target.value)}>
          <option value="">the usual one</option>
          {ways.map((way) => (
            <option key={way}>{way}</option>
          ))}
        </select>
      </label>
      <Reason value={reason} change={setReason} />
      {verdict === "completed" ? (
        <Suspense fallback={<Loading />}>
          <JsonForm
            schema={schema}
            start={eventKey && !schema ? { [eventKey]: null } : {}}
            action="Preview"
            {...asked}
            send={ask}
          />
        </Suspense>
      ) : (
        <PreviewForm {...asked} ask={() => ask({})} />
      )}
    </Plan>
  );
}

/** What may be done about one step of the instance itself. Of what has ended the API knows who may begin it anew. */
export function NodeActions({ detail, node, graphNode, ways }: Omit<DecideProps, "close">) {
  const mayMend = detail.allowed.includes("cancel");
  const mayRetry = mayMend || detail.state === "FAILED" || detail.state === "SUCCEEDED";
  if (!mayRetry || graphNode?.map) return null;
  const hasVisits = visitsOf(detail, node).length > 0 || (detail.visits_truncated && node.visits > 0);
  // It waited when the instance's time was up: it has no visit to go back to, and begins anew all the same.
  const hadAsked =
    detail.state === "FAILED" && detail.requests.some((each) => each.node === node.name && each.state === "superseded");
  const isDecidable = ["READY", "WAITING", "FAILED"].includes(node.state);
  return (
    <div className="actions">
      <Opener label="Retry from here" offered={hasVisits || hadAsked}>
        {(close) => <RetryDialog detail={detail} node={node} close={close} />}
      </Opener>
      <Opener label="Decide by hand" offered={(isDecidable && (mayMend || node.state === "FAILED")) || hadAsked}>
        {(close) => <DecideDialog detail={detail} node={node} graphNode={graphNode} ways={ways} close={close} />}
      </Opener>
    </div>
  );
}
