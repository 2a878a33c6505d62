import type { Schemas } from "../../api/client";
import { hasEnded } from "../../api/queries";
import { duration, Time, useNow } from "../../parts/time";
import { lanes } from "./spans";
import { words } from "../../parts/words";

interface TimelineProps {
  detail: Schemas["InstanceDetail"];
  select: (node: string) => void;
}

const TICKS = [0, 0.25, 0.5, 0.75, 1];

function Gantt({ detail, select }: TimelineProps) {
  const now = useNow();
  const begin = new Date(detail.started).getTime();
  const end = detail.ended && hasEnded(detail.state) ? new Date(detail.ended).getTime() : now;
  const whole = Math.max(end - begin, 1);
  const part = (moment: number) => `${Math.min(100, Math.max(0, ((moment - begin) / whole) * 100))}%`;
  const found = lanes(detail);
  if (found.length === 0) return null;
  return (
    <div className="gantt">
      {found.map((lane) => (
        <div key={lane.node} className="lane">
          <button type="button" className="link" title={lane.node} onClick={() => select(lane.node)}>
            {words(lane.node)}
          </button>
          <div className="track">
            {lane.bars.map((bar, index) => {
              const long = duration(((bar.end ?? now) - bar.start) / 1000);
              return (
                <span
                  key={index}
                  className="bar"
                  role="img"
                  data-state={bar.state}
                  aria-label={`${bar.text}, ${long}`}
                  title={`${bar.text}, ${long}`}
                  style={{ left: part(bar.start), right: `calc(100% - ${part(bar.end ?? end)})` }}
                />
              );
            })}
          </div>
        </div>
      ))}
      <div className="lane axis" aria-hidden="true">
        <span />
        <div className="track">
          {TICKS.map((tick) => (
            <span key={tick} style={{ left: `${tick * 100}%` }}>
              {duration((whole * tick) / 1000)}
            </span>
          ))}
        </div>
      </div>
    </div>
  );
}

const SIGNS: Record<string, string> = {
  start: "▶",
  request: "→",
  reply: "←",
  timeout: "◷",
  wait: "◌",
  event: "✉",
  error: "✕",
  visit: "·",
  action: "✎",
  end: "■",
};

/** What took how long, and everything that happened, newest first. */
export function Timeline({ detail, select }: TimelineProps) {
  return (
    <>
      <Gantt detail={detail} select={select} />
      <ol className="log">
        {detail.timeline.toReversed().map((entry, index) => (
          <li key={index} data-kind={entry.kind}>
            <Time at={entry.at} />
            <span aria-hidden="true">{SIGNS[entry.kind]}</span>
            <span>
              {entry.node && (
                <>
                  <button type="button" className="link" onClick={() => select(entry.node)}>
                    {words(entry.node)}
                  </button>{" "}
                </>
              )}
              {entry.text}
            </span>
          </li>
        ))}
      </ol>
    </>
  );
}
