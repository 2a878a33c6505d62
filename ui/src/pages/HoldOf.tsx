import type { Schemas } from "../api/client";
import { useEndHold, useHolds, useMakeHold } from "../api/queries";
import { Opener } from "../parts/dialog";
import { Time } from "../parts/time";
import { Reasoned } from "./instance/Reasoned";

type Hold = Schemas["HoldOfView"];
type What = Pick<Hold, "kind" | "name">;

function Make({ what, close }: { what: What; close: () => void }) {
  return (
    <Reasoned title={`Hold ${what.name}?`} action={`Hold the ${what.kind}`} act={useMakeHold(what)} close={close}>
      {what.kind === "capability"
        ? "Instances that wait for it, or would ask it, are held: nothing is sent, and their deadlines wait."
        : "Its instances are held, also those that begin later: nothing is sent, and their deadlines wait."}
    </Reasoned>
  );
}

function End({ what, close }: { what: What; close: () => void }) {
  return (
    <Reasoned title={`Release ${what.name}?`} action={`Release the ${what.kind}`} act={useEndHold(what)} close={close}>
      Its instances go on, ten a second. `cch release --rate` lets more or fewer of them go on.
    </Reasoned>
  );
}

function Notice({ hold }: { hold: Hold }) {
  const instances = `${hold.held} ${hold.held === 1 ? "instance is" : "instances are"} held for it`;
  return (
    <p className="reason" role="status">
      {hold.released ? "Being released" : `Held by ${hold.by}`} since <Time at={hold.released ?? hold.since} />
      {hold.reason && `: ${hold.reason}`} ({instances}).
    </p>
  );
}

/** Whether a workflow or a capability is held as a whole, and the buttons that hold and release it. */
export function HoldOf({ what, offered }: { what: What; offered: boolean }) {
  const hold = useHolds().data?.items.find((each) => each.kind === what.kind && each.name === what.name);
  return (
    <>
      {hold && <Notice hold={hold} />}
      {offered && (
        <div className="actions">
          <Opener label="Hold" offered={!hold}>
            {(close) => <Make what={what} close={close} />}
          </Opener>
          <Opener label="Release" offered={hold !== undefined && !hold.released}>
            {(close) => <End what={what} close={close} />}
          </Opener>
        </div>
      )}
    </>
  );
}
