import type { Schemas } from "../../api/client";
import { Time } from "../../parts/time";
import { words } from "../../parts/words";

type ErrorView = Schemas["ErrorView"];

/** Errors the workflow took care of are told, but do not shout. */
export function Errors({ errors, select }: { errors: ErrorView[]; select: (node: string) => void }) {
  if (errors.length === 0) return null;
  return (
    <ul className="errors" aria-label="Errors">
      {errors.map((error, index) => (
        <li key={index} data-handled={error.handled ?? false}>
          <strong>{error.code}</strong> {error.message}{" "}
          <span className="muted">
            {error.node && (
              <button type="button" className="link" onClick={() => select(error.node)}>
                {words(error.node)}
              </button>
            )}{" "}
            {error.at && <Time at={error.at} />} {error.handled && "· the workflow went on"}
          </span>
        </li>
      ))}
    </ul>
  );
}
