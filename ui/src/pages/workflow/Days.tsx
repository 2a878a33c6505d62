import type { Schemas } from "../../api/client";
import { duration } from "../../parts/time";

type Day = Schemas["WorkflowStatistics"]["days"][number];

const HEIGHT = 120;
const KINDS = ["completed", "cancelled", "failed"] as const;
const FILL = { completed: "var(--green)", cancelled: "var(--edge)", failed: "var(--red)" };

const all = (day: Day) => day.completed + day.failed + day.cancelled;

function said(day: Day): string {
  const took = day.median_seconds === null ? "" : `, median ${duration(day.median_seconds)}`;
  const p95 = day.p95_seconds === null ? "" : `, 95 % ${duration(day.p95_seconds)}`;
  return `${day.day}: ${day.completed} completed, ${day.failed} failed, ${day.cancelled} cancelled${took}${p95}`;
}

/** The line of the longest times from start to end, each day's 95 %. */
function line(days: Day[], longest: number): string {
  const points = days.map((day, x) =>
    day.p95_seconds === null ? null : `${x + 0.5} ${HEIGHT * (1 - day.p95_seconds / longest)}`,
  );
  return points
    .map((point, x) => (point === null ? "" : `${x === 0 || points[x - 1] === null ? "M" : "L"} ${point}`))
    .join(" ");
}

/** Ends by day as bars, and how long instances took as a line above them. */
export function Days({ days }: { days: Day[] }) {
  const most = Math.max(1, ...days.map(all));
  const longest = Math.max(...days.map((day) => day.p95_seconds ?? 0), 0);
  return (
    <figure className="days">
      <svg viewBox={`0 0 ${days.length} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label="Ends by day">
        {days.map((day, x) => {
          let top = HEIGHT;
          return (
            <g key={day.day}>
              <title>{said(day)}</title>
              <rect x={x} y={0} width={1} height={HEIGHT} fill="transparent" />
              {KINDS.map((kind) => {
                const height = (HEIGHT * day[kind]) / most;
                top -= height;
                return <rect key={kind} x={x + 0.1} y={top} width={0.8} height={height} fill={FILL[kind]} />;
              })}
            </g>
          );
        })}
        {longest > 0 && <path d={line(days, longest)} className="took" vectorEffect="non-scaling-stroke" />}
      </svg>
      <figcaption className="facts">
        <span>{days[0]?.day}</span>
        <span>
          at most {most.toLocaleString()} a day: <i data-kind="completed" /> completed <i data-kind="failed" /> failed{" "}
          <i data-kind="cancelled" /> cancelled
        </span>
        {longest > 0 && (
          <span>
            <i data-kind="took" /> from start to end, 95 % (at most {duration(longest)})
          </span>
        )}
        <span>{days.at(-1)?.day}</span>
      </figcaption>
    </figure>
  );
}
