"""The standalone service: threads around the exchange.

One thread for each queue polls it; one hands out delayed replies when they are due; a few send in batches;
one looks for new queues, one extends what waits. No thread waits for a delay, so a thousand delayed requests
cost a heap entry each.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capability_mock.queues import QueueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from capability_mock.exchange import Delivery, Exchange
    from capability_mock.queues import Queues

log = logging.getLogger(__name__)

#: Replies that wait to be sent at most before receiving is slowed down.
BACKLOG = 5_000
#: Replies that one sender takes at once: ten full batches.
TAKE = 100
#: Seconds without SQS after a call that failed.
BACKOFF = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How the service waits (seconds)."""

    #: A long poll. Short, because a poll that a killed mock leaves behind may still take messages, which
    #: then stay invisible for `visibility`; and because stopping and pausing wait for it.
    wait: int = 1
    #: How long SQS hides a received request; extended twice in that time.
    visibility: int = 60
    #: Between two looks for new queues.
    discover: float = 10.0


class Service:
    """Runs until `stop`. Thread-safe."""

    def __init__(self, *, exchange: Exchange, queues: Queues, timing: Timing, senders: int = 3) -> None:
        self._exchange = exchange
        self._queues = queues
        self._timing = timing
        self._stopped = threading.Event()
        self._gate = threading.Condition()
        self._paused = False
        self._polling = 0
        self._receivers: dict[str, threading.Thread] = {}
        self._outbox: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        self._senders = [self._thread("sender", self._send) for _ in range(senders)]
        self._others = [
            self._thread("timekeeper", self._keep_time),
            self._thread("extender", self._extend),
            self._thread("discoverer", self._keep_discovering),
        ]

    def start(self) -> None:
        """Returns when the queues that exist are polled. Raises QueueError when SQS cannot be asked."""
        self._discover()
        for thread in [*self._senders, *self._others]:
            thread.start()

    def stop(self, within: float = 1.6) -> None:
        """Stops receiving, sends what is ready, shows the rest to the next mock; `within` seconds or so."""
        end = time.monotonic() + within
        self._stopped.set()
        with self._gate:
            self._gate.notify_all()
            receivers = list(self._receivers.values())
        for thread in receivers:
            _join(thread, end - 0.4)
        for _ in self._senders:
            self._outbox.put(None)
        for thread in self._senders:
            _join(thread, end - 0.1)
        releaser = self._thread("releaser", self._exchange.release)
        releaser.start()
        _join(releaser, max(end, time.monotonic() + 0.1))

    def pause(self) -> None:
        """Stops receiving; returns when no poll is under way. What was received is still answered."""
        with self._gate:
            self._paused = True
            self._gate.wait_for(lambda: self._polling == 0, timeout=self._timing.wait + 5)

    def resume(self) -> None:
        with self._gate:
            self._paused = False
            self._gate.notify_all()

    @property
    def paused(self) -> bool:
        return self._paused

    def queue_names(self) -> list[str]:
        with self._gate:
            return sorted(self._receivers)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=work, name=f"mock-{name}", daemon=True)

    def _discover(self) -> None:
        for name, url in self._queues.discover().items():
            with self._gate:
                if name in self._receivers or self._stopped.is_set():
                    continue
                thread = self._thread(name, functools.partial(self._receive, name, url))
                self._receivers[name] = thread
                thread.start()
            log.info("polling queue", extra={"queue": url})

    def _keep_discovering(self) -> None:
        while not self._stopped.wait(self._timing.discover):
            try:
                self._discover()
            except QueueError as error:
                log.warning("cannot look for new queues", extra={"why": str(error)})

    def _receive(self, name: str, url: str) -> None:
        try:
            while self._enter_gate():
                try:
                    self._receive_once(url)
                finally:
                    self._leave_gate()
                while self._outbox.qsize() > BACKLOG and not self._stopped.wait(0.02):
                    pass
        except QueueError as error:
            log.warning("no longer polling queue", extra={"queue": url, "why": str(error)})
        finally:
            with self._gate:
                self._receivers.pop(name, None)

    def _receive_once(self, url: str) -> None:
        """Raises QueueError when the queue is gone; any other failure is logged and waited out."""
        try:
            messages = self._queues.receive(url, wait=self._timing.wait, visibility=self._timing.visibility)
            for delivery in self._exchange.receive(url, messages):
                self._outbox.put(delivery)
        except QueueError as error:
            if error.missing_queue:
                raise
            log.warning("cannot receive", extra={"queue": url, "why": str(error)})
            self._stopped.wait(BACKOFF)
        except Exception:  # a bug must not silence a queue: the message comes again
            log.exception("request failed", extra={"queue": url})
            self._stopped.wait(BACKOFF)

    def _enter_gate(self) -> bool:
        """Waits while paused; False when the service stops."""
        with self._gate:
            self._gate.wait_for(lambda: not self._paused or self._stopped.is_set())
            if self._stopped.is_set():
                return False
            self._polling += 1
            return True

    def _leave_gate(self) -> None:
        with self._gate:
            self._polling -= 1
            self._gate.notify_all()

    def _send(self) -> None:
        while (first := self._outbox.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < TAKE and not last:
                try:
                    following = self._outbox.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    last = True
                else:
                    batch.append(following)
            try:
                self._exchange.send(batch)
            except Exception:  # a bug must not end the thread: the requests come again
                log.exception("sending failed")
            if last:
                return

    def _keep_time(self) -> None:
        while not self._stopped.is_set():
            for delivery in self._exchange.due(timeout=0.5):
                self._outbox.put(delivery)

    def _extend(self) -> None:
        while not self._stopped.wait(self._timing.visibility / 2):
            try:
                self._exchange.extend()
            except Exception:  # the next turn tries again, in time
                log.exception("extending failed")


def _join(thread: threading.Thread, end: float) -> None:
    """Waits for a thread until `end`; not at all for one that never started."""
    if thread.ident is not None:
        thread.join(max(0.0, end - time.monotonic()))
