import { lazy, Suspense, useState } from "react";

import { useEvent } from "../../api/queries";
import { Dialog } from "../../parts/dialog";
import { Loading } from "../../parts/notices";
import { words } from "../../parts/words";

const JsonForm = lazy(() => import("../../parts/json-form"));

interface SendEventProps {
  instance: string;
  title: string;
  eventKey: string;
  /** Branch keys of the item that waits, from the outside in. */
  path: string[];
  schema: object | null;
  label?: string;
  quiet?: boolean;
}

/** A button that opens the form for what a node waits for. Repeating the same form sends the event once. */
export function SendEvent({
  instance,
  title,
  eventKey,
  path,
  schema,
  label = "Answer",
  quiet = false,
}: SendEventProps) {
  const [id, setId] = useState("");
  const send = useEvent(instance);
  const done = send.data;
  return (
    <>
      <button
        type="button"
        className={quiet ? "" : "primary"}
        onClick={() => setId(`ui-${Date.now()}-${Math.random().toString(36).slice(2)}`)}
      >
        {label}
      </button>
      {done && (
        <span className="muted" role="status">
          {done.waiting > 0 ? "Sent." : "Sent; it is kept until a step takes it."}
        </span>
      )}
      {id && (
        <Dialog title={words(title)} close={() => setId("")}>
          <div className="dialog-body">
            <p className="muted">
              {path.length > 0 && `For ${path.join(" / ")}. `}
              {eventKey ? (
                <>
                  The event must bring <code>{eventKey}</code>; the instance goes on with what you send.
                </>
              ) : (
                "The instance goes on with what you send."
              )}
            </p>
            <Suspense fallback={<Loading />}>
              <JsonForm
                schema={schema}
                start={eventKey && !schema ? { [eventKey]: null } : {}}
                action="Send"
                pending={send.isPending}
                error={send.error}
                send={(payload) =>
                  send.mutate(
                    { payload, event_id: id, branch: "", branch_path: path, status: "" },
                    { onSuccess: () => setId("") },
                  )
                }
              />
            </Suspense>
          </div>
        </Dialog>
      )}
    </>
  );
}
