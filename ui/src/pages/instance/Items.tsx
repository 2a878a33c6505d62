import { useQueries } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";

import { get, type Schemas } from "../../api/client";
import { ITEMS_AT_ONCE, itemsPath } from "../../api/queries";
import { State } from "../../parts/state";
import { Span } from "../../parts/time";
import { words } from "../../parts/words";

type Item = Schemas["MapItemView"];

/** Height of a row (px). */
const ROW = 38;
/** Milliseconds that pages are in sight before they are asked for: whoever drags the scroll bar passes a hundred of them. */
const REST = 120;

/** The value, once it has not changed for a while. */
function useRested(value: string): string {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), REST);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}

function Row({ item, select, selected }: { item: Item; select: () => void; selected: boolean }) {
  return (
    <button type="button" className="item" aria-pressed={selected} onClick={select}>
      <span className="number muted">{item.index + 1}</span>
      <strong>{item.branch}</strong>
      <State state={item.state} />
      <span className="muted">{item.state === "SUCCEEDED" ? "" : item.reason || words(item.node)}</span>
      <span className="muted">
        <Span since={item.started ?? item.waits[0]?.since} until={item.ended} />
      </span>
    </button>
  );
}

interface ItemsProps {
  instance: string;
  map: Schemas["MapView"];
  /** Whether more items may begin: a map starts only so many at a time. */
  growing: boolean;
  index: number | null;
  select: (index: number | null) => void;
}

/** The items of a map. Only the rows in sight are drawn, and only their pages are asked for. */
export function Items({ instance, map, growing, index, select }: ItemsProps) {
  const box = useRef<HTMLDivElement>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- its functions change with each scroll, as they must
  const rows = useVirtualizer({
    count: map.items,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: 8,
  });
  const shown = rows.getVirtualItems();
  const pages = [...new Set(shown.map((row) => Math.floor(row.index / ITEMS_AT_ONCE)))];
  const rested = useRested(pages.join()).split(",");
  const answers = useQueries({
    queries: pages.map((page) => {
      const path = itemsPath(instance, map.node, map.visit, page * ITEMS_AT_ONCE);
      return {
        queryKey: [path],
        queryFn: ({ signal }: { signal: AbortSignal }) => get<Schemas["MapItemPage"]>(path, signal),
        enabled: rested.includes(String(page)),
        refetchInterval: 5_000,
      };
    }),
  });
  const items = new Map(answers.flatMap((answer) => answer.data?.items ?? []).map((item) => [item.index, item]));
  return (
    <section className="items">
      <h3>
        {map.items.toLocaleString()} {map.items === 1 ? "item" : "items"}
        {growing && " so far"}
        {map.done !== null && <span className="muted"> · {map.done.toLocaleString()} done</span>}
      </h3>
      {/* A region that scrolls must be reachable by the keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div ref={box} className="items-box" tabIndex={0} role="region" aria-label={`Items of ${map.node}`}>
        <div style={{ height: rows.getTotalSize() }}>
          {shown.map((row) => {
            const item = items.get(row.index);
            return (
              <div
                key={row.key}
                className="item-place"
                style={{ transform: `translateY(${row.start}px)`, height: ROW }}
              >
                {item ? (
                  <Row
                    item={item}
                    selected={item.index === index}
                    select={() => select(item.index === index ? null : item.index)}
                  />
                ) : (
                  <span className="muted item">…</span>
                )}
              </div>
            );
          })}
        </div>
      </div>
    </section>
  );
}

export function ItemHeader({ item, close }: { item: Schemas["MapItemDetail"]; close: () => void }) {
  return (
    <div className="item-header">
      <p>
        Item <strong>{item.branch}</strong> <State state={item.state} />{" "}
        {item.reason && <span className="reason">{item.reason}</span>}
      </p>
      <button type="button" className="quiet" onClick={close}>
        all items
      </button>
    </div>
  );
}
