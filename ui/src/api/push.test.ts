import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { AGAIN, Push, SILENCE } from "./push";

class FakeSource extends EventTarget {
  static all: FakeSource[] = [];
  readyState = 1;
  onerror: (() => void) | null = null;
  constructor(readonly url: string) {
    super();
    FakeSource.all.push(this);
  }
  say(name: string, data: object = {}) {
    this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
  }
  fail() {
    this.readyState = 2;
    this.onerror?.();
  }
  close() {
    this.readyState = 2;
  }
}

const opened = () => new Push((url) => new FakeSource(url) as unknown as EventSource);
const last = (): FakeSource => {
  const found = FakeSource.all.at(-1);
  if (!found) throw new Error("no stream was opened");
  return found;
};

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
});
afterEach(() => vi.useRealTimers());

describe("being told", () => {
  it("opens one stream for all that the page shows, and says what has changed", () => {
    const push = opened();
    const one = vi.fn();
    const two = vi.fn();
    push.watch("/a", one);
    push.watch("/b?x=1", two);
    vi.advanceTimersByTime(300);

    expect(FakeSource.all.map((each) => each.url)).toEqual(["../api/v1/watch?look=%2Fa&look=%2Fb%3Fx%3D1"]);
    expect(push.tells("/a")).toBe(false);
    last().say("hello");
    expect([push.tells("/a"), push.tells("/c"), push.tells(null)]).toEqual([true, false, false]);
    last().say("changed", { look: "/b?x=1" });
    expect([one.mock.calls.length, two.mock.calls.length]).toEqual([1, 2]);
  });

  it("is polled again when nothing is heard, and tries another stream later", () => {
    const push = opened();
    const changed = vi.fn();
    push.listen(changed);
    push.watch("/a", vi.fn());
    vi.advanceTimersByTime(300);
    last().say("hello");
    vi.advanceTimersByTime(SILENCE - 1);
    last().say("alive");
    vi.advanceTimersByTime(SILENCE - 1);
    expect(push.tells("/a")).toBe(true);

    vi.advanceTimersByTime(2);
    expect(push.tells("/a")).toBe(false);
    expect(changed).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(AGAIN + 300);
    expect(FakeSource.all).toHaveLength(2);
  });

  it("is polled where a stream is refused, or where the browser has none", () => {
    const push = opened();
    push.watch("/a", vi.fn());
    vi.advanceTimersByTime(300);
    last().fail();
    expect(push.tells("/a")).toBe(false);
    vi.advanceTimersByTime(AGAIN - 1000);
    expect(FakeSource.all).toHaveLength(1);

    const none = new Push(null);
    none.watch("/a", vi.fn());
    vi.advanceTimersByTime(300);
    expect(none.tells("/a")).toBe(false);
  });

  it("holds no connection for a hidden page, or one that shows nothing", () => {
    const push = opened();
    const leave = push.watch("/a", vi.fn());
    vi.advanceTimersByTime(300);
    const source = last();
    leave();
    vi.advanceTimersByTime(300);
    expect(source.readyState).toBe(2);

    push.watch("/b", vi.fn());
    vi.advanceTimersByTime(300);
    const other = last();
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    vi.advanceTimersByTime(300);
    expect(other.readyState).toBe(2);
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
  });
});
