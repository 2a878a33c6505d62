import type { Schemas } from "../../api/client";
import { useCancel, useHold, useRelease } from "../../api/queries";
import { Opener } from "../../parts/dialog";
import { MoveDialog } from "./Move";
import { PatchDialog } from "./Patch";
import { Reasoned } from "./Reasoned";
import { SendEvent } from "./SendEvent";

type Detail = Schemas["InstanceDetail"];

interface DialogProps {
  detail: Detail;
  close: () => void;
}

const called = (detail: Detail) => detail.correlation_id || detail.id;

const Cancel = ({ detail, close }: DialogProps) => (
  <Reasoned
    title={`Cancel ${called(detail)}?`}
    action="Cancel the instance"
    danger
    act={useCancel(detail.id)}
    close={close}
  >
    It ends now and cannot be continued. Answers that still come are kept under Messages as late ones.
  </Reasoned>
);

const Hold = ({ detail, close }: DialogProps) => (
  <Reasoned title={`Hold ${called(detail)}?`} action="Hold the instance" act={useHold(detail.id)} close={close}>
    Nothing is sent or decided until it is released, and its deadlines wait. Replies and events are taken and kept.
  </Reasoned>
);

const Release = ({ detail, close }: DialogProps) => (
  <Reasoned
    title={`Release ${called(detail)}?`}
    action="Release the instance"
    act={useRelease(detail.id)}
    close={close}
  >
    It goes on from where it stands. Its deadlines move by the length of the hold.
  </Reasoned>
);

/** What may be done to an instance that has not ended. */
function Mending({ detail }: { detail: Detail }) {
  const isHeld = detail.gates.some((gate) => gate.kind === "held");
  return (
    <>
      <Opener label="Move">
        {(close) => <MoveDialog detail={detail} title={`Move ${called(detail)} to another version`} close={close} />}
      </Opener>
      <Opener label="Patch the context">
        {(close) => <PatchDialog detail={detail} title={`Patch the context of ${called(detail)}`} close={close} />}
      </Opener>
      <Opener label="Hold" offered={!isHeld}>
        {(close) => <Hold detail={detail} close={close} />}
      </Opener>
      <Opener label="Release" offered={isHeld}>
        {(close) => <Release detail={detail} close={close} />}
      </Opener>
      <Opener label="Cancel" className="danger">
        {(close) => <Cancel detail={detail} close={close} />}
      </Opener>
    </>
  );
}

export function Actions({ detail }: { detail: Detail }) {
  if (detail.allowed.length === 0) return null;
  return (
    <div className="actions">
      {detail.allowed.includes("event") && (
        <SendEvent
          instance={detail.id}
          title={`Send an event to ${called(detail)}`}
          eventKey=""
          path={[]}
          schema={null}
          label="Send event"
          quiet
        />
      )}
      {detail.allowed.includes("cancel") && <Mending detail={detail} />}
    </div>
  );
}
