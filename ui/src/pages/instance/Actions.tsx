import { useState } from "react";

import type { Schemas } from "../../api/client";
import { useCancel } from "../../api/queries";
import { Confirm } from "../../parts/dialog";
import { SendEvent } from "./SendEvent";

type Detail = Schemas["InstanceDetail"];

function Cancel({ detail }: { detail: Detail }) {
  const [asking, setAsking] = useState(false);
  const [reason, setReason] = useState("");
  const cancel = useCancel(detail.id);
  return (
    <>
      <button type="button" className="danger" onClick={() => setAsking(true)}>
        Cancel
      </button>
      {asking && (
        <Confirm
          title={`Cancel ${detail.correlation_id || detail.id}?`}
          action="Cancel the instance"
          danger
          pending={cancel.isPending}
          error={cancel.error}
          confirm={() => cancel.mutate({ reason }, { onSuccess: () => setAsking(false) })}
          close={() => setAsking(false)}
        >
          <p>
            It ends now and cannot be continued. Answers that still come are kept under Messages as late ones. Your name
            is written into Airflow’s audit log.
          </p>
          <label>
            Reason
            <input value={reason} maxLength={400} onChange={(event) => setReason(event.target.value)} />
          </label>
        </Confirm>
      )}
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
          title={`Send an event to ${detail.correlation_id || detail.id}`}
          eventKey=""
          path={[]}
          schema={null}
          label="Send event"
          quiet
        />
      )}
      {detail.allowed.includes("cancel") && <Cancel detail={detail} />}
    </div>
  );
}
