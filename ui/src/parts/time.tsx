import { useSyncExternalStore } from "react";

const UNITS: [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** `3 d 4 h`, `5 min 2 s`, `0.4 s`: the two largest units. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, Math.round(seconds * 10) / 10)} s`;
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  const parts: string[] = [];
  let left = Math.round(seconds);
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.join(" ");
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

const sameDay = (a: Date, b: Date) => a.toDateString() === b.toDateString();

/** A moment in the viewer's zone; the exact UTC on hover. */
export function Time({ at }: { at: string | null | undefined }) {
  if (!at) return <span className="muted">–</span>;
  const moment = new Date(at);
  const format = sameDay(moment, new Date()) ? CLOCK : DAY_AND_CLOCK;
  return (
    <time dateTime={at} title={moment.toISOString().replace("T", " ").replace("Z", " UTC")}>
      {format.format(moment)}
    </time>
  );
}

// One clock for the page: it moves each second.
let now = Date.now();
const watchers = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;

function watch(changed: () => void): () => void {
  watchers.add(changed);
  ticking ??= setInterval(() => {
    now = Date.now();
    for (const each of watchers) each();
  }, 1000);
  return () => {
    watchers.delete(changed);
    if (watchers.size === 0) {
      clearInterval(ticking);
      ticking = undefined;
    }
  };
}

export const useNow = () => useSyncExternalStore(watch, () => now);

/** How long something takes so far, or took. */
export function Span({ since, until }: { since: string | null | undefined; until?: string | null }) {
  const current = useNow();
  if (!since) return null;
  const begin = new Date(since);
  const end = until ? new Date(until).getTime() : current;
  return (
    <time
      dateTime={since}
      title={`since ${begin.toISOString().replace("T", " ").replace("Z", " UTC")}`}
      className="number"
    >
      {duration((end - begin.getTime()) / 1000)}
    </time>
  );
}
