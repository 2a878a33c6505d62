import type { Schemas } from "../../api/client";
import { Empty } from "../../parts/notices";
import { Span, Time } from "../../parts/time";
import { words } from "../../parts/words";

interface WayProps {
  detail: Schemas["InstanceDetail"];
  select: (node: string) => void;
}

/** Every visit in the order of time. */
export function Way({ detail, select }: WayProps) {
  if (detail.visits.length === 0) return <Empty title="No step has ended yet" />;
  return (
    <>
      {detail.visits_truncated && <p className="muted">Only the latest visits are shown.</p>}
      <table className="rows">
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Visit</th>
            <th scope="col">Left by</th>
            <th scope="col">To</th>
            <th scope="col">Because of</th>
            <th scope="col">Took</th>
            <th scope="col">Ended</th>
          </tr>
        </thead>
        <tbody>
          {detail.visits.toReversed().map((visit) => (
            <tr key={`${visit.node} ${visit.visit}`} data-failed={visit.failed}>
              <th scope="row">
                <button type="button" className="link" onClick={() => select(visit.node)}>
                  {words(visit.node)}
                </button>
              </th>
              <td className="number">{visit.visit}</td>
              <td>{visit.edge && <code>{visit.edge}</code>}</td>
              <td>{visit.targets.map(words).join(", ")}</td>
              <td className="muted">{visit.cause}</td>
              <td>
                <Span since={visit.started} until={visit.ended} />
              </td>
              <td>
                <Time at={visit.ended} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
