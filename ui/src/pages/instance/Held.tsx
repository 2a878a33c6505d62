import { Link } from "react-router";

import type { Schemas } from "../../api/client";
import { Time } from "../../parts/time";

/** Messages for this instance that nobody has come for: what would make each match, and where to attach it. */
export function Held({ messages }: { messages: Schemas["HeldMessage"][] }) {
  if (messages.length === 0) return null;
  return (
    <ul className="errors" aria-label="Held messages">
      {messages.map((each) => (
        <li key={each.id} data-handled="true">
          <strong>
            <Link to={`/messages?state=held&message=${encodeURIComponent(each.id)}`}>
              {each.kind === "ASYNC_RESP" ? "A reply" : "An event"} from {each.capability} is held
            </Link>
          </strong>{" "}
          It would match by {each.would_match}.{" "}
          <span className="muted">
            came <Time at={each.received} />
          </span>
        </li>
      ))}
    </ul>
  );
}
