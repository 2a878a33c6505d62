import { Link } from "react-router";

import type { Schemas } from "../api/client";
import { duration } from "./time";

/** What a breach of the contract does, in words. */
const ENFORCE = { off: "not checked", warn: "breaches are told", fail: "a breach fails the step" } as const;

interface ContractProps {
  capability: string;
  contract: Schemas["GraphContract"];
}

/** What people need to know of a contract beside a step that asks the capability. */
export function ContractFacts({ capability, contract }: ContractProps) {
  const codes = Object.entries(contract.errors);
  return (
    <section aria-label="Contract" className="contract">
      <p className="facts">
        <Link to={`/capabilities?id=${encodeURIComponent(capability)}`}>{contract.title}</Link>
        {contract.owner && <span>{contract.owner}</span>}
        <span>{ENFORCE[contract.enforce]}</span>
        {contract.usual_seconds !== null && <span>usually answers within {duration(contract.usual_seconds)}</span>}
        {contract.longest_seconds !== null && <span>at the latest within {duration(contract.longest_seconds)}</span>}
      </p>
      {codes.length > 0 && <Codes codes={codes} />}
    </section>
  );
}

export function Codes({ codes }: { codes: [string, string][] }) {
  return (
    <details>
      <summary>{codes.length === 1 ? "one error code" : `${codes.length} error codes`}</summary>
      <dl>
        {codes.map(([code, meaning]) => (
          <div key={code}>
            <dt>
              <code>{code}</code>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
