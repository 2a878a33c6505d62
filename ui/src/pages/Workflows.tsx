import { Link } from "react-router";

import { INSTANCE_STATES, useWorkflows } from "../api/queries";
import type { Schemas } from "../api/client";
import { Answer, Degraded, Empty } from "../parts/notices";
import { SIGNS, stateName } from "../parts/state";

type Summary = Schemas["WorkflowSummary"];

function Counts({ workflow }: { workflow: Summary }) {
  const some = INSTANCE_STATES.filter((state) => workflow.counts[state] > 0);
  if (some.length === 0) return <span className="muted">no instances</span>;
  return (
    <>
      {some.map((state) => (
        <Link
          key={state}
          className="state"
          data-state={state}
          title={stateName(state)}
          to={`/?workflow=${encodeURIComponent(workflow.workflow_id)}&state=${state}`}
        >
          <span aria-hidden="true">{SIGNS[state]}</span> {workflow.counts[state].toLocaleString()}
          <span className="sr-only"> {stateName(state)}</span>
        </Link>
      ))}
    </>
  );
}

function Card({ workflow }: { workflow: Summary }) {
  return (
    <li className="card">
      <h2>
        <Link to={`/workflows/${workflow.workflow_id}`}>{workflow.name}</Link>
      </h2>
      <p className="muted">
        <code>{workflow.workflow_id}</code> {workflow.owner && `· ${workflow.owner}`} {workflow.paused && "· paused"}
      </p>
      <p className="description">{workflow.description}</p>
      {workflow.problems > 0 && (
        <p className={workflow.usable ? "muted" : "reason"}>
          {workflow.problems} {workflow.problems === 1 ? "problem" : "problems"} in what is published
        </p>
      )}
      <p className="counts">
        <Counts workflow={workflow} />
      </p>
    </li>
  );
}

export default function Workflows() {
  const answer = useWorkflows();
  return (
    <>
      <header className="page">
        <h1>Workflows</h1>
      </header>
      <Degraded answer={answer.data} />
      <Answer of={answer}>
        {({ items }) =>
          items.length ? (
            <ul className="cards">
              {items.map((workflow) => (
                <Card key={workflow.workflow_id} workflow={workflow} />
              ))}
            </ul>
          ) : (
            <Empty title="No workflow is published">
              Publish one with <code>cch publish</code>; it is here a few seconds later.
            </Empty>
          )
        }
      </Answer>
    </>
  );
}
