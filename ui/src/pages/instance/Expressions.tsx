import { useState } from "react";

import type { Schemas } from "../../api/client";
import { useExpressions } from "../../api/queries";
import { JsonTree } from "../../parts/json";
import { ErrorNotice, Loading } from "../../parts/notices";

type Seen = Schemas["SeenExpression"];

function Value({ value }: { value: unknown }) {
  return typeof value === "object" && value !== null ? (
    <JsonTree value={value} open />
  ) : (
    <code>{JSON.stringify(value)}</code>
  );
}

function One({ seen }: { seen: Seen }) {
  return (
    <li>
      <p className="facts">
        <code>{seen.place}</code>
        <span className="muted">visit {seen.visit}</span>
      </p>
      <pre>{seen.text}</pre>
      <dl>
        <dt>Saw</dt>
        <dd>{Object.keys(seen.saw).length ? <JsonTree value={seen.saw} open /> : "nothing of the context"}</dd>
        <dt>Gave</dt>
        <dd>
          {seen.error ? (
            <span className="reason">{seen.error}</span>
          ) : seen.nothing ? (
            "nothing: a key that it reads is missing"
          ) : (
            <Value value={seen.gave} />
          )}
        </dd>
      </dl>
    </li>
  );
}

interface ExpressionsProps {
  instance: string;
  node: string;
  /** The map and the index of its item, if the step is in one. */
  item: { map: string; index: number } | null;
}

/** They are evaluated again, so only when somebody looks. */
function Shown({ instance, node, item }: ExpressionsProps) {
  const answer = useExpressions(instance, node, item);
  if (answer.error) return <ErrorNotice error={answer.error} />;
  if (!answer.data) return <Loading />;
  if (answer.data.items.length === 0) return <p className="muted">None was evaluated yet.</p>;
  return (
    <ul className="expressions">
      {answer.data.items.toReversed().map((seen) => (
        <One key={`${seen.visit} ${seen.place}`} seen={seen} />
      ))}
    </ul>
  );
}

/** What the expressions of a step saw and gave. */
export function Expressions({ count, ...of }: ExpressionsProps & { count: number }) {
  const [open, setOpen] = useState(false);
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{count === 1 ? "What its expression saw" : `What its ${count} expressions saw`}</summary>
      {open && <Shown {...of} />}
    </details>
  );
}
