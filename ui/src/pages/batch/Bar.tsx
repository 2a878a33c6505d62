import type { Schemas } from "../../api/client";

type Batch = Schemas["BatchView"];

const PARTS = ["done", "skipped", "refused", "failed"] as const;

/** How far it is, by what has become of its instances. */
export function Bar({ batch }: { batch: Batch }) {
  const over = batch.total - batch.left;
  const words = PARTS.filter((part) => batch[part] > 0).map((part) => `${batch[part].toLocaleString()} ${part}`);
  return (
    <div
      className="batch-bar"
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={batch.total}
      aria-valuenow={over}
      aria-valuetext={`${over} of ${batch.total}`}
      aria-label={`${over.toLocaleString()} of ${batch.total.toLocaleString()}`}
      title={words.join(", ")}
    >
      {PARTS.map((part) => (
        <i key={part} data-result={part} style={{ width: `${(100 * batch[part]) / Math.max(batch.total, 1)}%` }} />
      ))}
    </div>
  );
}
