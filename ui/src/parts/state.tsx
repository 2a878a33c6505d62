import type { InstanceState, NodeState } from "../api/queries";

export type AnyState = InstanceState | NodeState;

/** A sign beside the colour, for those who cannot tell colours. */
export const SIGNS: Record<AnyState, string> = {
  PENDING: "○",
  READY: "◔",
  RUNNING: "▶",
  WAITING: "◷",
  SUCCEEDED: "✓",
  FAILED: "✕",
  SKIPPED: "⊘",
  CANCELLED: "⊘",
};

export const stateName = (state: AnyState) => state.toLowerCase();

export function State({ state }: { state: AnyState }) {
  return (
    <span className="state" data-state={state}>
      <span aria-hidden="true">{SIGNS[state]}</span> {stateName(state)}
    </span>
  );
}
