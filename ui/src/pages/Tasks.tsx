import { Link } from "react-router";

import type { Schemas } from "../api/client";
import { useTasks } from "../api/queries";
import { Answer, Empty } from "../parts/notices";
import { Pager, usePages } from "../parts/pager";
import { Span, Time } from "../parts/time";
import { SendEvent } from "./instance/SendEvent";
import { words } from "../parts/words";

type Task = Schemas["TaskView"];

function Row({ task }: { task: Task }) {
  return (
    <li className="card task">
      <div>
        <h2>
          {words(task.title)} {task.branch && <span className="muted">· {task.branch}</span>}
        </h2>
        <p>
          <Link to={`/instances/${task.instance_id}?node=${encodeURIComponent(task.node)}`}>
            {task.correlation_id || task.instance_id}
          </Link>{" "}
          <span className="muted">{task.workflow_name}</span>
        </p>
        {task.description && <p className="description">{task.description}</p>}
        <p className="facts">
          <span>
            waits for <Span since={task.since} />
          </span>
          {task.deadline && (
            <span>
              until <Time at={task.deadline} />
            </span>
          )}
          {task.event_key && (
            <span>
              needs <code>{task.event_key}</code>
            </span>
          )}
        </p>
      </div>
      {task.can_act && (
        <SendEvent
          instance={task.instance_id}
          title={`${task.title}: ${task.correlation_id || task.instance_id}`}
          eventKey={task.event_key}
          path={task.branch_path}
          schema={task.payload_schema}
        />
      )}
    </li>
  );
}

export default function Tasks() {
  const pages = usePages();
  const answer = useTasks(pages.cursor);
  return (
    <>
      <header className="page">
        <h1>Human tasks</h1>
        <p className="muted">Everything that waits for a person or another event from outside, the longest first.</p>
      </header>
      <Answer of={answer}>
        {(page) => (
          <>
            {page.items.length ? (
              <ul className="cards tasks">
                {page.items.map((task) => (
                  <Row key={task.id} task={task} />
                ))}
              </ul>
            ) : (
              <Empty title="Nothing waits for a person">What needs somebody comes up here by itself.</Empty>
            )}
            <Pager pages={pages} next={page.next_cursor} />
          </>
        )}
      </Answer>
    </>
  );
}
