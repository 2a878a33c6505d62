"""From received requests to sent replies, without losing one.

A request stays in its queue, invisible, until its reply was sent: it is deleted after that, and until then
`extend` keeps it invisible. A mock that is killed therefore answers again what it had not answered, after
its restart, as soon as the visibility timeout has passed. What may happen is a second copy of a reply
(killed between sending and deleting); it has the same id. SQS shows a message again 12 hours after it was
received, whatever was asked: a longer wait sees its request come again, and goes on.

With `ack_early` a request is deleted as soon as its reply has been put into the timetable: cheaper for many
long delays, and lost when the mock is killed.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capability_mock.messages import RequestError
from capability_mock.queues import Outgoing
from capability_mock.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from capability_mock.desk import Decision, Desk
    from capability_mock.queues import Queues, Received
    from capability_mock.record import Record

log = logging.getLogger(__name__)

#: Attempts to send a reply, 1 s, 2 s, 4 s, … apart; then SQS delivers the request again, or buries it.
SEND_ATTEMPTS = 5


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """A reply on its way, with the request it will delete."""

    message_id: str
    request_queue: str
    receipt: str
    capability: str
    reply_queue: str
    reply: str
    #: Copies still to send.
    left: int
    ready_at: float
    malformed: bool = False
    traceparent: str = ""
    attempts: int = 0


class Exchange:
    """The steps of the service; threads call them. Thread-safe. Tests call them one by one."""

    def __init__(
        self,
        *,
        desk: Desk,
        queues: Queues,
        record: Record,
        clock: Callable[[], float],
        visibility: int = 60,
        ack_early: bool = False,
    ) -> None:
        self._desk = desk
        self._queues = queues
        self._record = record
        self._clock = clock
        self._visibility = visibility
        self._ack_early = ack_early
        self._timetable: Timetable[Delivery] = Timetable(clock)
        self._lock = threading.Lock()
        #: Everything received and not yet answered, by SQS message id.
        self._waiting: dict[str, Delivery] = {}
        #: By capability: the out-of-order reply that waits for the next one.
        self._held: dict[str, Delivery] = {}

    def receive(self, queue: str, messages: Iterable[Received]) -> list[Delivery]:
        """Decides about received messages; returns what is to be sent now, the rest waits here."""
        done: list[str] = []
        ready: list[Delivery] = []
        for message in messages:
            try:
                decision = self._desk.decide(message.body)
            except RequestError as error:
                self._record.count("invalid")
                log.warning("not a request; deleted", extra={"queue": queue, "why": str(error)})
                done.append(message.receipt)
                continue
            if decision.reply is None:
                self._record.count("never", decision.request.capability)
                done.append(message.receipt)
            elif not self._received_again(message):
                delivery = self._enter(queue, message, decision)
                if self._ack_early:
                    done.append(message.receipt)
                if decision.out_of_order and self._hold(delivery):
                    continue
                if delivery.ready_at <= self._clock():
                    ready.append(delivery)
                else:
                    self._timetable.put(delivery.ready_at, delivery)
        if done:
            self._queues.delete(queue, done)
        return ready

    def due(self, timeout: float = 0.0) -> list[Delivery]:
        """Delayed replies whose time has come; waits for the first at most `timeout` seconds."""
        return self._timetable.take(timeout)

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Sends replies and deletes their requests, both in batches."""
        by_queue: dict[str, list[Delivery]] = defaultdict(list)
        for delivery in deliveries:
            by_queue[delivery.reply_queue] += [delivery] * delivery.left
        for reply_queue, copies in by_queue.items():
            replies = [Outgoing(body=delivery.reply, traceparent=delivery.traceparent) for delivery in copies]
            failed = self._queues.send(reply_queue, replies)
            for index, delivery in enumerate(copies):
                if index not in failed:
                    delivery.left -= 1
                    self._record.count("sent", delivery.capability)
        answered = [delivery for delivery in deliveries if delivery.left == 0]
        receipts: dict[str, list[str]] = defaultdict(list)
        for delivery in answered:
            if not self._ack_early:
                receipts[delivery.request_queue].append(delivery.receipt)
        for request_queue, handles in receipts.items():
            self._queues.delete(request_queue, handles)
        for delivery in answered:
            self._answered(delivery)
        for delivery in deliveries:
            if delivery.left:
                self._try_again(delivery)

    def extend(self) -> None:
        """Keeps what is not yet answered invisible; to be called twice in a visibility timeout."""
        self._hide_all(self._visibility)

    def release(self) -> None:
        """Shows every request that is not yet answered, so that another mock gets it at once."""
        self._hide_all(0)

    def waiting(self) -> dict[str, int]:
        """How many replies wait: in all, and those held back to be out of order."""
        with self._lock:
            return {"waiting": len(self._waiting), "held": len(self._held)}

    def _received_again(self, message: Received) -> bool:
        """True when this very message is still waiting; its new receipt is the one that deletes it."""
        with self._lock:
            delivery = self._waiting.get(message.message_id)
            if delivery is not None:
                delivery.receipt = message.receipt
            return delivery is not None

    def _enter(self, queue: str, message: Received, decision: Decision) -> Delivery:
        delivery = Delivery(
            message_id=message.message_id,
            request_queue=queue,
            receipt=message.receipt,
            capability=decision.request.capability,
            reply_queue=decision.request.reply_queue,
            reply=decision.reply or "",
            left=decision.sendings,
            ready_at=decision.ready_at,
            malformed=decision.malformed,
            traceparent=message.traceparent,
        )
        with self._lock:
            self._waiting[delivery.message_id] = delivery
        return delivery

    def _hold(self, delivery: Delivery) -> bool:
        """Holds the delivery back; False when one is held already, which this one will then overtake."""
        with self._lock:
            return self._held.setdefault(delivery.capability, delivery) is delivery

    def _answered(self, delivery: Delivery) -> None:
        self._record.count("answered", delivery.capability)
        if delivery.malformed:
            self._record.count("malformed", delivery.capability)
        with self._lock:
            self._waiting.pop(delivery.message_id, None)
            overtaken = self._held.pop(delivery.capability, None)
        if overtaken is not None:
            self._timetable.put(max(overtaken.ready_at, self._clock()), overtaken)

    def _try_again(self, delivery: Delivery) -> None:
        delivery.attempts += 1
        if delivery.attempts < SEND_ATTEMPTS:
            self._timetable.put(self._clock() + 2 ** (delivery.attempts - 1), delivery)
            return
        self._record.count("failed", delivery.capability)
        log.error(
            "reply could not be sent; its request stays in the queue",
            extra={"queue": delivery.reply_queue, "capability": delivery.capability},
        )
        with self._lock:
            self._waiting.pop(delivery.message_id, None)

    def _hide_all(self, seconds: int) -> None:
        if self._ack_early:
            return
        receipts: dict[str, list[str]] = defaultdict(list)
        with self._lock:
            for delivery in self._waiting.values():
                receipts[delivery.request_queue].append(delivery.receipt)
        for queue, handles in receipts.items():
            self._queues.hide(queue, handles, seconds)
