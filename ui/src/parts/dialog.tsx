import { useEffect, useId, useRef, type ReactNode } from "react";

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

interface ConfirmProps {
  title: string;
  action: string;
  danger?: boolean;
  pending: boolean;
  error: ApiError | null;
  disabled?: boolean;
  confirm: () => void;
  close: () => void;
  children: ReactNode;
}

/** Says what is going to happen, and does it only then. */
export function Confirm({ title, action, danger, pending, error, disabled, confirm, close, children }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
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
          <button type="button" onClick={close}>
            Back
          </button>
          <button type="submit" className={danger ? "danger" : "primary"} disabled={pending || disabled}>
            {pending ? "…" : action}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}
