import type { ReactNode } from "react";

import type { ApiError } from "../api/client";
import { loginUrl, openAirflow } from "../airflow";

export const Loading = () => (
  <div className="loading" role="status">
    <span className="sr-only">Loading</span>
    <i />
    <i />
    <i />
  </div>
);

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  );
}

/** What went wrong, with each wrong field. */
export function ErrorNotice({ error, retry }: { error: ApiError; retry?: () => unknown }) {
  return (
    <div className="notice" data-kind="error" role="alert">
      <div>
        <strong>{error.status === 404 ? "Not found" : "This did not work"}</strong>
        <p>{error.message}</p>
        {error.fields.length > 0 && (
          <ul>
            {error.fields.map((field) => (
              <li key={field.location + field.message}>
                <code>{field.location}</code> {field.message}
              </li>
            ))}
          </ul>
        )}
      </div>
      {error.status === 401 ? (
        <button type="button" onClick={() => openAirflow(loginUrl())}>
          Log in
        </button>
      ) : (
        retry && (
          <button type="button" onClick={() => void retry()}>
            Try again
          </button>
        )
      )}
    </div>
  );
}

export function Degraded({ answer }: { answer: { degraded: boolean; degraded_reason: string } | undefined }) {
  if (!answer?.degraded) return null;
  return (
    <div className="notice" data-kind="warning" role="status">
      <div>
        <strong>Only what Airflow itself knows is shown</strong>
        <p>The ledger does not answer: {answer.degraded_reason}</p>
      </div>
    </div>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: ApiError | null;
  refetch: () => unknown;
}

/** What was asked for, or why it is not there (yet). An error keeps what was there before. */
export function Answer<T>({ of, children }: { of: Asked<T>; children: (value: T) => ReactNode }) {
  return (
    <>
      {of.error && <ErrorNotice error={of.error} retry={of.refetch} />}
      {of.data !== undefined ? children(of.data) : !of.error && <Loading />}
    </>
  );
}
