import { useState } from "react";

import type { Schemas } from "../../api/client";
import { useRequest, useResend } from "../../api/queries";
import { Confirm } from "../../parts/dialog";
import { JsonTree } from "../../parts/json";
import { ErrorNotice, Loading } from "../../parts/notices";
import { Span, Time } from "../../parts/time";

type RequestView = Schemas["RequestView"];

const STATES: Record<RequestView["state"], string> = {
  open: "WAITING",
  answered: "SUCCEEDED",
  timed_out: "FAILED",
  failed: "FAILED",
  superseded: "SKIPPED",
};

function Resend({ instance, request }: { instance: string; request: RequestView }) {
  const [asking, setAsking] = useState(false);
  const resend = useResend(instance, request.command_id);
  return (
    <>
      <button type="button" onClick={() => setAsking(true)}>
        Send again
      </button>
      {resend.data && (
        <p className="muted" role="status">
          Sent again to {resend.data.queue}.
        </p>
      )}
      {asking && (
        <Confirm
          title="Send the request again?"
          action="Send again"
          pending={resend.isPending}
          error={resend.error}
          confirm={() => resend.mutate({}, { onSuccess: () => setAsking(false) })}
          close={() => setAsking(false)}
        >
          <p>
            <strong>{request.capability}</strong> gets the same message with the same command id once more. A service
            that has done the work already must not do it twice.
          </p>
        </Confirm>
      )}
    </>
  );
}

/** What was sent; made again from the ledger, so it is asked for only when somebody looks. */
function Body({ instance, request, mayResend }: { instance: string; request: RequestView; mayResend: boolean }) {
  const answer = useRequest(instance, request.command_id);
  if (answer.error) return <ErrorNotice error={answer.error} />;
  if (!answer.data) return <Loading />;
  return (
    <>
      {answer.data.body ? <JsonTree value={answer.data.body} /> : <p className="muted">{answer.data.body_problem}</p>}
      {mayResend && answer.data.resendable && <Resend instance={instance} request={request} />}
    </>
  );
}

interface RequestProps {
  instance: string;
  request: RequestView;
  open: boolean;
  mayResend: boolean;
}

function Request({ instance, request, open, mayResend }: RequestProps) {
  const [shown, setShown] = useState(open);
  return (
    <details className="request" open={shown} onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>
        <span className="state" data-state={STATES[request.state]}>
          {request.state.replace("_", " ")}
        </span>
        <span>
          {request.capability}
          {request.visit > 1 && ` · visit ${request.visit}`}
          {request.attempt > 1 && ` · attempt ${request.attempt}`}
        </span>
        <span className="muted">
          <Span since={request.created} until={request.closed} />
        </span>
      </summary>
      <dl>
        <dt>Sent</dt>
        <dd>
          <Time at={request.sent ?? request.created} />
        </dd>
        {request.deadline && (
          <>
            <dt>Answer due</dt>
            <dd>
              <Time at={request.deadline} />
            </dd>
          </>
        )}
        {request.closed && (
          <>
            <dt>{request.state === "answered" ? "Answered" : "Closed"}</dt>
            <dd>
              <Time at={request.closed} /> {request.reply_status && <strong>{request.reply_status}</strong>}
            </dd>
          </>
        )}
        {request.reason && (
          <>
            <dt>Why</dt>
            <dd>{request.reason}</dd>
          </>
        )}
        <dt>Command id</dt>
        <dd>
          <code>{request.command_id}</code>
        </dd>
      </dl>
      {request.reply && (
        <>
          <h3>What came back</h3>
          <JsonTree value={request.reply} />
        </>
      )}
      <h3>What was sent</h3>
      {shown && <Body instance={instance} request={request} mayResend={mayResend} />}
    </details>
  );
}

export function Requests({
  instance,
  requests,
  mayResend,
}: {
  instance: string;
  requests: RequestView[];
  mayResend: boolean;
}) {
  const newest = requests.toReversed();
  return (
    <>
      {newest.map((request, index) => (
        <Request
          key={request.command_id}
          instance={instance}
          request={request}
          open={index === 0}
          mayResend={mayResend}
        />
      ))}
    </>
  );
}
