import type { Schemas } from "../../api/client";
import { JsonTree } from "../../parts/json";
import { words } from "../../parts/words";

type Detail = Schemas["InstanceDetail"];

/** Key of the context → the visits that wrote it, the latest last. */
function writers(visits: Detail["visits"]): Map<string, Detail["visits"]> {
  const found = new Map<string, Detail["visits"]>();
  for (const visit of visits) {
    for (const key of Object.keys(visit.changed)) found.set(key, [...(found.get(key) ?? []), visit]);
  }
  return found;
}

/** The business data, and beside each key which step wrote it. */
export function ContextTree({ detail, select }: { detail: Detail; select: (node: string) => void }) {
  const notes = Object.fromEntries(
    [...writers(detail.visits)].map(([key, visits]) => [
      key,
      <span key={key} className="writer">
        {visits.slice(-3).map((visit) => (
          <button
            key={`${visit.node} ${visit.visit}`}
            type="button"
            className="link"
            title={`written at ${visit.ended}`}
            onClick={(event) => {
              event.preventDefault();
              select(visit.node);
            }}
          >
            {words(visit.node)}
            {visit.visit > 1 && ` ×${visit.visit}`}
          </button>
        ))}
      </span>,
    ]),
  );
  return (
    <div className="columns">
      <section>
        <h2>Now</h2>
        <JsonTree value={detail.context} notes={notes} />
      </section>
      <section>
        <h2>At the start</h2>
        <JsonTree value={detail.initial_context} />
      </section>
    </div>
  );
}
