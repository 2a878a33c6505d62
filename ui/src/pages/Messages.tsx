import { Link, useSearchParams } from "react-router";

import type { Schemas } from "../api/client";
import { useMessages, type MessageState } from "../api/queries";
import { Answer, Empty } from "../parts/notices";
import { Pager, usePages } from "../parts/pager";
import { Tabs } from "../parts/tabs";
import { Time } from "../parts/time";
import { Message } from "./messages/Message";
import { ADVICE, STATES } from "./messages/advice";

type View = Schemas["MessageView"];

const KINDS: Record<string, string> = {
  START_WORKFLOW: "start",
  ASYNC_RESP: "reply",
  EVENT_WAIT_RESP: "event",
};

function Table({ messages, open }: { messages: View[]; open: (id: string) => void }) {
  return (
    <table className="rows">
      <thead>
        <tr>
          <th scope="col">Message</th>
          <th scope="col">From</th>
          <th scope="col">Instance it names</th>
          <th scope="col">Why it is here</th>
          <th scope="col">Came</th>
        </tr>
      </thead>
      <tbody>
        {messages.map((message) => (
          <tr key={message.id}>
            <th scope="row">
              <button type="button" className="link" onClick={() => open(message.id)}>
                {KINDS[message.kind] ?? "unreadable"}
              </button>
            </th>
            <td>{message.capability || <span className="muted">{message.queue}</span>}</td>
            <td>
              {message.workflow_id ? (
                <Link to={`/instances/${message.instance_id}`}>{message.instance_id.slice(0, 13)}</Link>
              ) : (
                <span className="muted">{message.instance_id || "none"}</span>
              )}
              {message.branch && ` · ${message.branch}`}
            </td>
            <td className="wide">{message.reason}</td>
            <td>
              <Time at={message.received} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function List({ state, open }: { state: MessageState; open: (id: string) => void }) {
  const pages = usePages();
  const answer = useMessages(state, pages.cursor);
  return (
    <>
      <p className="muted">{ADVICE[state]}</p>
      <Answer of={answer}>
        {(page) => (
          <>
            {page.items.length ? (
              <Table messages={page.items} open={open} />
            ) : (
              <Empty title={`No ${state} messages`}>{page.next_cursor && "There may be more on the next page."}</Empty>
            )}
            <Pager pages={pages} next={page.next_cursor} />
          </>
        )}
      </Answer>
    </>
  );
}

export default function Messages() {
  const [params, setParams] = useSearchParams();
  const state = STATES.find((each) => each === params.get("state")) ?? "orphan";
  const open = params.get("message");
  const show = (id: string | null) =>
    setParams((before) => {
      const changed = new URLSearchParams(before);
      if (id) changed.set("message", id);
      else changed.delete("message");
      return changed;
    });
  return (
    <>
      <header className="page">
        <h1>Messages</h1>
        <p className="muted">Messages that found nobody. Nothing here is lost, and nothing here took effect.</p>
      </header>
      <Tabs
        label="State of the messages"
        open={state}
        select={(next) => setParams({ state: next }, { replace: true })}
        tabs={STATES.map((each) => ({ id: each, title: each, content: () => <List state={each} open={show} /> }))}
      />
      {open && <Message id={open} close={() => show(null)} />}
    </>
  );
}
