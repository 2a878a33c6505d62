import { useEffect, useId, useRef, useState, type ReactNode } from "react";

import type { ApiError } from "../api/client";
import { ErrorNotice } from "./notices";

/** A modal dialog; the browser keeps the focus in it and gives it back. */
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ReactNode }) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={ref} onCancel={close} aria-labelledby={heading}>
      <header>
        <h2 id={heading}>{title}</h2>
        <button type="button" className="quiet" onClick={close} aria-label="Close">
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface OpenerProps {
  label: string;
  className?: string;
  /** Whether the button is there; a dialog that is open stays. */
  offered?: boolean;
  children: (close: () => void) => ReactNode;
}

/** A button that opens a dialog. */
export function Opener({ label, className, offered = true, children }: OpenerProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      {(offered || open) && (
        <button type="button" className={className} onClick={() => setOpen(true)}>
          {label}
        </button>
      )}
      {open && children(() => setOpen(false))}
    </>
  );
}

interface ConfirmFormProps {
  action: string;
  danger?: boolean;
  pending: boolean;
  error: ApiError | null;
  disabled?: boolean;
  confirm: () => void;
  back: () => void;
  children: ReactNode;
}

/** The inside of a dialog that says what is going to happen, and does it only then. */
export function ConfirmForm({ action, danger, pending, error, disabled, confirm, back, children }: ConfirmFormProps) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        confirm();
      }}
    >
      <div className="dialog-body">
        {children}
        {error && <ErrorNotice error={error} />}
      </div>
      <footer>
        <button type="button" onClick={back}>
          Back
        </button>
        <button type="submit" className={danger ? "danger" : "primary"} disabled={pending || disabled}>
          {pending ? "…" : action}
        </button>
      </footer>
    </form>
  );
}

interface ConfirmProps extends Omit<ConfirmFormProps, "back"> {
  title: string;
  close: () => void;
}

/** A dialog that says what is going to happen, and does it only then. */
export function Confirm({ title, close, ...form }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
      <ConfirmForm {...form} back={close} />
    </Dialog>
  );
}
