import { useSearchParams } from "react-router";

/** Where a list is: the cursors of the pages before, in the address, the current one last. */
export function usePages() {
  const [search, setSearch] = useSearchParams();
  const cursors = search.getAll("page");
  const go = (to: string[]) =>
    setSearch((before) => {
      const after = new URLSearchParams(before);
      after.delete("page");
      for (const cursor of to) after.append("page", cursor);
      return after;
    });
  return {
    cursor: cursors.at(-1) ?? "",
    number: cursors.length + 1,
    next: (cursor: string) => go([...cursors, cursor]),
    previous: cursors.length ? () => go(cursors.slice(0, -1)) : null,
  };
}

export function Pager({ pages, next }: { pages: ReturnType<typeof usePages>; next: string | null | undefined }) {
  if (!pages.previous && !next) return null;
  return (
    <nav className="pager" aria-label="Pages">
      <button type="button" disabled={!pages.previous} onClick={() => pages.previous?.()}>
        ← Previous
      </button>
      <span className="muted">Page {pages.number}</span>
      <button type="button" disabled={!next} onClick={() => next && pages.next(next)}>
        Next →
      </button>
    </nav>
  );
}
