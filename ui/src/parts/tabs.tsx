import { useId, type KeyboardEvent, type ReactNode } from "react";

interface Tab {
  id: string;
  title: ReactNode;
  content: () => ReactNode;
}

interface TabsProps {
  label: string;
  tabs: Tab[];
  open: string;
  select: (id: string) => void;
}

/** Tabs as ARIA has them: the arrow keys go from one to the next. */
export function Tabs({ label, tabs, open, select }: TabsProps) {
  const prefix = useId();
  const current = tabs.find((tab) => tab.id === open) ?? tabs[0];
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !current) return;
    const next = tabs[(tabs.indexOf(current) + step + tabs.length) % tabs.length];
    if (!next) return;
    select(next.id);
    document.getElementById(prefix + next.id)?.focus();
  };
  return (
    <section className="tabs">
      <div role="tablist" aria-label={label}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={prefix + tab.id}
            aria-selected={tab === current}
            aria-controls={`${prefix}panel`}
            tabIndex={tab === current ? 0 : -1}
            onClick={() => select(tab.id)}
            onKeyDown={move}
          >
            {tab.title}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${prefix}panel`} aria-labelledby={prefix + (current?.id ?? "")} tabIndex={-1}>
        {current?.content()}
      </div>
    </section>
  );
}
