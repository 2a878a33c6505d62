import type { ReactNode } from "react";

type Json = unknown;

const isBranch = (value: Json): value is object => typeof value === "object" && value !== null;

function Leaf({ value }: { value: Json }) {
  const kind = value === null ? "null" : typeof value;
  return (
    <span className="leaf" data-kind={kind}>
      {JSON.stringify(value)}
    </span>
  );
}

/** Entries beyond this many are not drawn: a list of thousands helps nobody. */
const MOST = 200;

function Branch({ name, value, open, note }: { name: string; value: Json; open: boolean; note?: ReactNode }) {
  if (!isBranch(value)) {
    return (
      <li>
        <span className="key">{name}</span> <Leaf value={value} /> {note}
      </li>
    );
  }
  const entries = Object.entries(value);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return (
    <li className="branch">
      <details open={open && entries.length <= 20}>
        <summary>
          <span className="key">{name}</span> <span className="muted">{size}</span>
        </summary>
        <Entries entries={entries} open={open} />
      </details>
      {note}
    </li>
  );
}

function Entries({
  entries,
  open,
  notes,
}: {
  entries: [string, Json][];
  open: boolean;
  notes?: Record<string, ReactNode>;
}) {
  return (
    <ul className="tree">
      {entries.slice(0, MOST).map(([name, value]) => (
        <Branch key={name} name={name} value={value} open={open} note={notes?.[name]} />
      ))}
      {entries.length > MOST && <li className="muted">… and {entries.length - MOST} more</li>}
    </ul>
  );
}

/** JSON as a tree that opens and closes. `notes` stand beside keys of the first level. */
export function JsonTree({
  value,
  open = true,
  notes,
}: {
  value: object;
  open?: boolean;
  notes?: Record<string, ReactNode>;
}) {
  const entries = Object.entries(value);
  if (entries.length === 0) return <p className="muted">empty</p>;
  return <Entries entries={entries} open={open} notes={notes} />;
}
