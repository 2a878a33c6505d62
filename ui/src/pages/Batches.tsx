import { Link } from "react-router";

import type { Schemas } from "../api/client";
import { useBatches } from "../api/queries";
import { Answer, Empty } from "../parts/notices";
import { Pager, usePages } from "../parts/pager";
import { Time } from "../parts/time";
import { Bar } from "./batch/Bar";
import { KINDS, type Kind } from "./batch/Fields";

type Batch = Schemas["BatchView"];

/** What it does, in words. */
export const actionName = (batch: Batch) => {
  const kind = String(batch.action.kind);
  return kind in KINDS ? KINDS[kind as Kind] : kind;
};

function Table({ items }: { items: Batch[] }) {
  return (
    <table className="rows">
      <thead>
        <tr>
          <th scope="col">Action</th>
          <th scope="col">State</th>
          <th scope="col">Progress</th>
          <th scope="col">Instances</th>
          <th scope="col">Workflows</th>
          <th scope="col">By</th>
          <th scope="col">Begun</th>
        </tr>
      </thead>
      <tbody>
        {items.map((batch) => (
          <tr key={batch.id}>
            <th scope="row">
              <Link to={`/batches/${batch.id}`}>{actionName(batch)}</Link>
              {batch.reason && <div className="muted">{batch.reason}</div>}
            </th>
            <td>{batch.state}</td>
            <td className="wide">
              <Bar batch={batch} />
            </td>
            <td data-label="instances">{batch.total.toLocaleString()}</td>
            <td className="muted name">{batch.workflows.join(", ")}</td>
            <td data-label="by">{batch.by}</td>
            <td data-label="begun">
              <Time at={batch.created} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Actions for many instances, the newest first. */
export default function Batches() {
  const pages = usePages();
  return (
    <>
      <header className="page">
        <h1>Batches</h1>
      </header>
      <Answer of={useBatches(pages.cursor)}>
        {(page) => (
          <>
            {page.items.length ? (
              <Table items={page.items} />
            ) : (
              <Empty title="There are no batches">
                Search for <Link to="/">instances</Link>, or open the <Link to="/incidents">incidents</Link>: what is
                done to one can be done to all of them.
              </Empty>
            )}
            <Pager pages={pages} next={page.next_cursor} />
          </>
        )}
      </Answer>
    </>
  );
}
