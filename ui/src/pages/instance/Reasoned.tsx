import { useState } from "react";
import type { UseMutationResult } from "@tanstack/react-query";

import type { ApiError } from "../../api/client";
import { Confirm } from "../../parts/dialog";
import { Reason } from "./Plan";

interface ReasonedProps {
  title: string;
  action: string;
  danger?: boolean;
  act: UseMutationResult<unknown, ApiError, { reason?: string }>;
  close: () => void;
  children: string;
}

/** Asks for a reason, and does it. */
export function Reasoned({ title, action, danger, act, close, children }: ReasonedProps) {
  const [reason, setReason] = useState("");
  return (
    <Confirm
      title={title}
      action={action}
      danger={danger}
      pending={act.isPending}
      error={act.error}
      confirm={() => act.mutate({ reason }, { onSuccess: close })}
      close={close}
    >
      <p>{children} Your name is written into Airflow’s audit log.</p>
      <Reason value={reason} change={setReason} />
    </Confirm>
  );
}
