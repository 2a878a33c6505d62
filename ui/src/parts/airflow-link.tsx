import type { ReactNode } from "react";

import { openAirflow } from "../airflow";

/** A link to a page of Airflow, from within its frame or without. */
export function AirflowLink({ to, children }: { to: string; children: ReactNode }) {
  if (!to) return null;
  return (
    <a
      href={to}
      target="_top"
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        openAirflow(to);
      }}
    >
      {children} <span aria-hidden="true">↗</span>
    </a>
  );
}
