/**
 * Being told of changes instead of asking: one stream of server-sent events for all that the page shows.
 *
 * Where there is none (too many pages are told, a proxy keeps it back, the browser has none), everything is polled.
 */

const BASE = "../api/v1";
/** Milliseconds without a word after which a stream counts as lost; and before another is tried. */
export const SILENCE = 25_000;
export const AGAIN = 60_000;
/** Routes that one stream takes; the others are polled. */
const MOST = 8;
/** The page's parts come and go together: wait for all of them (ms). */
const SETTLE = 200;

type Told = () => void;

export class Push {
  private readonly told = new Map<string, Set<Told>>();
  private readonly listeners = new Set<Told>();
  private source: EventSource | null = null;
  private looks: string[] = [];
  private live = false;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly open: ((url: string) => EventSource) | null,
    private readonly page: Document = document,
  ) {
    page.addEventListener("visibilitychange", () => this.settle());
  }

  /** Call `changed` when the answer of a route has changed, until the returned function is called. */
  watch(path: string, changed: Told): () => void {
    const those = this.told.get(path) ?? new Set<Told>();
    this.told.set(path, those.add(changed));
    this.settle();
    return () => {
      those.delete(changed);
      if (those.size === 0 && this.told.get(path) === those) this.told.delete(path);
      this.settle();
    };
  }

  /** Whether changes of a route are told now, so that nobody has to ask. */
  tells(path: string | null): boolean {
    return this.live && path !== null && this.looks.includes(path);
  }

  /** Call `changed` when what `tells` says may have changed. */
  listen(changed: Told): () => void {
    this.listeners.add(changed);
    return () => this.listeners.delete(changed);
  }

  private settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.connect(), SETTLE);
  }

  private connect() {
    const wanted = this.page.hidden ? [] : [...this.told.keys()].slice(0, MOST);
    if (wanted.join("\n") === this.looks.join("\n") && (this.source !== null || wanted.length === 0)) return;
    this.close();
    this.looks = wanted;
    if (this.open === null || wanted.length === 0) return;
    const source = this.open(`${BASE}/watch?${wanted.map((path) => `look=${encodeURIComponent(path)}`).join("&")}`);
    this.source = source;
    source.addEventListener("hello", () => {
      this.heard();
      this.setLive(true);
      wanted.forEach((path) => this.tell(path)); // it may have changed before the stream began
    });
    source.addEventListener("alive", () => this.heard());
    source.addEventListener("changed", (event) => {
      this.heard();
      this.tell((JSON.parse((event as MessageEvent<string>).data) as { look: string }).look);
    });
    source.onerror = () => {
      this.setLive(false);
      if (source.readyState === 2) this.lost(); // refused: the browser does not try again by itself
    };
  }

  private heard() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lost(), SILENCE);
  }

  private tell(path: string) {
    this.told.get(path)?.forEach((changed) => changed());
  }

  private lost() {
    this.close();
    this.again = setTimeout(() => this.settle(), AGAIN);
  }

  private close() {
    clearTimeout(this.silence);
    clearTimeout(this.again);
    this.source?.close();
    this.source = null;
    this.looks = [];
    this.setLive(false);
  }

  private setLive(live: boolean) {
    if (this.live === live) return;
    this.live = live;
    this.listeners.forEach((changed) => changed());
  }
}

export const push = new Push(typeof EventSource === "undefined" ? null : (url) => new EventSource(url));
