import { useState } from "react";
import { Link } from "react-router";

import type { Schemas } from "../../api/client";
import { useAttach, useInstance, useMessage, useRetry } from "../../api/queries";
import { Dialog } from "../../parts/dialog";
import { JsonTree } from "../../parts/json";
import { Answer, ErrorNotice } from "../../parts/notices";
import { Span, Time } from "../../parts/time";
import { words } from "../../parts/words";
import { Plan, PreviewForm, Reason } from "../instance/Plan";

type Detail = Schemas["MessageDetail"];
type Candidate = Schemas["Candidate"];

/** The object that the text is, if it is one. */
function read(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

function Text({ body }: { body: string }) {
  const value = read(body);
  return value ? <JsonTree value={value} /> : <pre className="body">{body}</pre>;
}

function Open({ candidate, choose, chosen }: { candidate: Candidate; choose: () => void; chosen: boolean }) {
  return (
    <li>
      <label className="candidate">
        <input type="radio" name="candidate" checked={chosen} onChange={choose} />
        <span>
          <strong>{words(candidate.node)}</strong> <code>{candidate.capability}</code>{" "}
          {candidate.branch && `· ${candidate.branch} `}
          <br />
          <Link to={`/instances/${candidate.instance_id}?node=${encodeURIComponent(candidate.node)}`}>
            {candidate.instance_id}
          </Link>{" "}
          <span className="muted">
            waits for <Span since={candidate.since} />
          </span>{" "}
          {!candidate.exact && <span className="reason">not what the message names</span>}
        </span>
      </label>
    </li>
  );
}

/** Whose wait an event is to end; a request says by itself whose it is. */
const whose = (message: Detail, chosen: Candidate) =>
  message.kind === "EVENT_WAIT_RESP" ? { instance_id: chosen.instance_id } : {};

function Attach({ message, close }: { message: Detail; close: () => void }) {
  const [chosen, setChosen] = useState<Candidate | null>(message.candidates.find((each) => each.exact) ?? null);
  const attach = useAttach(message.id);
  if (!message.attachable) return null;
  if (message.candidates.length === 0) return <p className="muted">Nothing that is open waits for such a message.</p>;
  return (
    <section>
      <h3>Give it to what waits</h3>
      <ul className="candidates">
        {message.candidates.map((each) => (
          <Open
            key={each.command_id}
            candidate={each}
            chosen={each.command_id === chosen?.command_id}
            choose={() => setChosen(each)}
          />
        ))}
      </ul>
      {attach.error && <ErrorNotice error={attach.error} />}
      {chosen && (
        <div className="actions">
          <p className="muted">
            {words(chosen.node)} goes on with this message. This cannot be undone.
            {!chosen.exact &&
              " The message names another capability, item or instance, or lacks what is waited for: be sure."}
          </p>
          <button
            type="button"
            className={chosen.exact ? "primary" : "danger"}
            disabled={attach.isPending}
            onClick={() =>
              attach.mutate(
                { command_id: chosen.command_id, force: !chosen.exact, ...whose(message, chosen) },
                { onSuccess: close },
              )
            }
          >
            {chosen.exact ? "Attach" : "Attach all the same"}
          </button>
        </div>
      )}
    </section>
  );
}

type LateFor = NonNullable<Detail["late_for"]>;

function RetryWith({ message, late, close }: { message: string; late: LateFor; close: () => void }) {
  const plan = useRetry(late.instance_id);
  const [reason, setReason] = useState("");
  const ask = () => plan.preview.mutate({ node: late.node, visit: late.visit, adopt: message, reason });
  return (
    <Answer of={useInstance(late.instance_id)}>
      {(detail) => (
        <Plan
          title={`Retry ${words(late.node)} with this answer`}
          action="Retry"
          detail={detail}
          plan={plan}
          close={close}
        >
          <p className="muted">
            The step begins anew and takes this reply: nobody is asked. What came after the step does not count any
            more.
          </p>
          <PreviewForm pending={plan.preview.isPending} error={plan.preview.error} ask={ask}>
            <Reason value={reason} change={setReason} />
          </PreviewForm>
        </Plan>
      )}
    </Answer>
  );
}

function TooLate({ late, adopt }: { late: LateFor; adopt: (late: LateFor) => void }) {
  return (
    <section>
      <h3>It came too late</h3>
      <p>
        {words(late.node)} of{" "}
        <Link to={`/instances/${late.instance_id}?node=${encodeURIComponent(late.node)}`}>{late.instance_id}</Link> did
        not wait for it any more.
      </p>
      <button type="button" onClick={() => adopt(late)}>
        Retry with this answer
      </button>
    </section>
  );
}

interface Props {
  id: string;
  close: () => void;
}

function Shown({ id, close, adopt }: Props & { adopt: (late: LateFor) => void }) {
  return (
    <Dialog title="Message" close={close}>
      <div className="dialog-body">
        <Answer of={useMessage(id)}>
          {(message) => (
            <>
              <p className="facts">
                <span>{message.kind || "unreadable"}</span>
                {message.capability && <code>{message.capability}</code>}
                <span>
                  came <Time at={message.received} />
                </span>
                <span className="muted">{message.queue}</span>
              </p>
              {message.reason && <p className="reason">{message.reason}</p>}
              <Attach message={message} close={close} />
              {message.late_for && <TooLate late={message.late_for} adopt={adopt} />}
              <h3>As it came</h3>
              <Text body={message.body} />
            </>
          )}
        </Answer>
      </div>
    </Dialog>
  );
}

export function Message({ id, close }: Props) {
  const [late, adopt] = useState<LateFor | null>(null);
  return late ? <RetryWith message={id} late={late} close={close} /> : <Shown id={id} close={close} adopt={adopt} />;
}
