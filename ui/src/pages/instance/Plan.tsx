import { useEffect, useRef, type ReactNode } from "react";

import type { ApiError, Schemas } from "../../api/client";
import type { Planned } from "../../api/queries";
import { ConfirmForm, Dialog } from "../../parts/dialog";
import { ErrorNotice } from "../../parts/notices";
import { words } from "../../parts/words";

type Detail = Schemas["InstanceDetail"];
type View = Schemas["MoveView"] | Schemas["MendView"];

/** Longest reason that the API takes. */
const LONGEST_REASON = 500;

export function Reason({ value, change }: { value: string; change: (reason: string) => void }) {
  return (
    <label>
      Reason
      <input value={value} maxLength={LONGEST_REASON} onChange={(event) => change(event.target.value)} />
    </label>
  );
}

interface PreviewFormProps {
  pending: boolean;
  error: ApiError | null;
  ask: () => void;
  children?: ReactNode;
}

/** Fields, and the button that asks what they would do. */
export function PreviewForm({ pending, error, ask, children }: PreviewFormProps) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        ask();
      }}
    >
      {children}
      {error && <ErrorNotice error={error} />}
      <button type="submit" className="primary" disabled={pending}>
        Preview
      </button>
    </form>
  );
}

/** Requests and waits by their ids, in words where they are known. */
function inWords(detail: Detail): (id: string) => string {
  const known = new Map([
    ...detail.requests.map((each) => [each.command_id, `${words(each.node)}: request ${each.command_id}`] as const),
    ...detail.event_waits.map((each) => [each.id, `${words(each.node)}: wait for an event`] as const),
  ]);
  return (id) => known.get(id) ?? id;
}

function Several({ title, values }: { title: string; values: string[] }) {
  if (values.length === 0) return null;
  return (
    <>
      <dt>{title}</dt>
      <dd>
        <ul className="plain">
          {values.map((value) => (
            <li key={value}>{value}</li>
          ))}
        </ul>
      </dd>
    </>
  );
}

const places = (nodes: string[], none: string) => nodes.map(words).join(", ") || none;

/** A visit, which the API names `Ask_Customs#1`. */
function visit(text: string) {
  const [, node, number] = /^(.+)#(\d+)$/.exec(text) ?? [];
  return node ? `${words(node)}, visit ${number}` : text;
}

/** What would be done. It takes the focus, because the form that asked for it is not seen any more. */
function What({ view, detail }: { view: View; detail: Detail }) {
  const ref = useRef<HTMLDListElement>(null);
  useEffect(() => ref.current?.focus(), []);
  return (
    <dl ref={ref} tabIndex={-1} aria-label="What will be done">
      <dt>It stands at</dt>
      <dd>{places(view.before, "no step")}</dd>
      <dt>Then at</dt>
      <dd>{places(view.after, "no step: it ends")}</dd>
      {"kept" in view && <Several title="Goes on" values={view.kept} />}
      {"set_aside" in view && <Several title="Does not count any more" values={view.set_aside.map(visit)} />}
      <Several title="Is closed" values={view.superseded.map(inWords(detail))} />
      {"notes" in view && <Several title="Notes" values={view.notes} />}
    </dl>
  );
}

interface PlanProps<B, T> {
  title: string;
  action: string;
  detail: Detail;
  plan: Planned<B, T>;
  close: () => void;
  /** The form; it asks for the preview. */
  children: ReactNode;
}

/** First a form, then what it would do; only then it is done, exactly as it was previewed. */
export function Plan<B, T extends View>({ title, action, detail, plan, close, children }: PlanProps<B, T>) {
  const { preview, act } = plan;
  // What was written into the form stays there meanwhile, in case it has to be changed.
  const change = () => {
    preview.reset();
    act.reset();
  };
  return (
    <Dialog title={title} close={close}>
      <div hidden={preview.isSuccess}>
        <div className="dialog-body">{children}</div>
      </div>
      {preview.isSuccess && (
        <ConfirmForm
          action={action}
          pending={act.isPending}
          error={act.error}
          confirm={() => act.mutate(preview.variables, { onSuccess: close })}
          back={change}
        >
          <What view={preview.data} detail={detail} />
        </ConfirmForm>
      )}
    </Dialog>
  );
}
