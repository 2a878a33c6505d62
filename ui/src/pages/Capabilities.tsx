import { Link, useSearchParams } from "react-router";

import type { Schemas } from "../api/client";
import { useCapabilities } from "../api/queries";
import { ContractFacts } from "../parts/contract";
import { JsonTree } from "../parts/json";
import { Answer, Degraded, Empty } from "../parts/notices";
import { HoldOf } from "./HoldOf";

type Contract = Schemas["ContractView"];

const IDEMPOTENCY: Record<string, string> = {
  visit: "knows a repetition by the request key",
  attempt: "knows a repetition by the command id",
  none: "knows no repetition: asked twice, it does the work twice",
};

function Schema({ title, value }: { title: string; value: unknown }) {
  return (
    <>
      <h3>{title}</h3>
      {value === null || value === undefined ? <p className="muted">not described</p> : <JsonTree value={value} open />}
    </>
  );
}

function Detail({ contract }: { contract: Contract }) {
  return (
    <>
      {contract.idempotency && <p>It {IDEMPOTENCY[contract.idempotency]}.</p>}
      <Schema title="Request" value={contract.request} />
      {["SUCCESS", "ERROR"].map((status) => (
        <Schema key={status} title={`Reply ${status}`} value={contract.replies[status]} />
      ))}
      {contract.examples.length > 0 && <h3>Examples</h3>}
      {contract.examples.map((example, index) => (
        <div key={index}>
          {example.title && <p>{example.title}</p>}
          <JsonTree
            value={{
              ...(example.request && { request: example.request }),
              reply: { status: example.status, payload: example.payload },
            }}
          />
        </div>
      ))}
      <p className="muted">
        digest <code>{contract.digest.slice(0, 12)}</code>
      </p>
    </>
  );
}

function Card({ contract, open, toggle }: { contract: Contract; open: boolean; toggle: (open: boolean) => void }) {
  return (
    <li className="card">
      <h2>
        <code>{contract.id}</code>
      </h2>
      <ContractFacts capability={contract.id} contract={{ ...contract, errors: contract.errors ?? {} }} />
      <p className="description">{contract.description}</p>
      <p className="facts">
        {contract.workflows.length === 0 && <span className="muted">no workflow asks it</span>}
        {contract.workflows.map((workflow) => (
          <Link key={workflow} to={`/workflows/${workflow}`}>
            {workflow}
          </Link>
        ))}
      </p>
      <HoldOf what={{ kind: "capability", name: contract.id }} offered={contract.workflows.length > 0} />
      <details open={open} onToggle={(event) => toggle(event.currentTarget.open)}>
        <summary>Request, replies, examples</summary>
        {open && <Detail contract={contract} />}
      </details>
    </li>
  );
}

/** What each capability takes and answers, as its team has agreed. */
export default function Capabilities() {
  const answer = useCapabilities();
  const [params, setParams] = useSearchParams();
  const chosen = params.get("id");
  return (
    <>
      <header className="page">
        <h1>Capabilities</h1>
      </header>
      <Degraded answer={answer.data} />
      <Answer of={answer}>
        {({ items }) =>
          items.length ? (
            <ul className="cards">
              {items
                .toSorted((a, b) => Number(b.id === chosen) - Number(a.id === chosen))
                .map((contract) => (
                  <Card
                    key={contract.id}
                    contract={contract}
                    open={contract.id === chosen}
                    toggle={(open) => {
                      if (open !== (contract.id === chosen))
                        setParams(open ? { id: contract.id } : {}, { replace: true });
                    }}
                  />
                ))}
            </ul>
          ) : (
            <Empty title="No capability has a contract">
              Write one into <code>capabilities/</code> beside the definitions, and <code>cch publish</code> it.
            </Empty>
          )
        }
      </Answer>
    </>
  );
}
