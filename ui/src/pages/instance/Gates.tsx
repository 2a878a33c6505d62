import type { Schemas } from "../../api/client";
import { Time } from "../../parts/time";

/** Who keeps the instance from going on, since when and why. */
export function Gates({ gates }: { gates: Schemas["GateView"][] }) {
  return gates.map((gate) => (
    <div key={gate.kind} className="notice" data-kind="warning" role="status">
      <div>
        <strong>{gate.kind === "held" ? `Held by ${gate.by}` : `${gate.by} changes it`}</strong> since{" "}
        <Time at={gate.since} />
        {gate.reason && <p>{gate.reason}</p>}
        <p>Nothing is sent or decided until it is {gate.kind === "held" ? "released" : "changed"}.</p>
      </div>
    </div>
  ));
}
