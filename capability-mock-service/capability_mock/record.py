"""What the mock has seen: the last requests, and counts of everything."""

from __future__ import annotations

import json
import threading
from collections import Counter, OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capability_mock.messages import Request
    from capability_mock.scenario import Answer

#: Requests kept, and the text they may hold together (characters).
REQUESTS_KEPT = 20_000
TEXT_KEPT = 50_000_000

#: The counts; those of CAPABILITY_COUNTS exist for each capability too.
#: received: valid requests, repeats included. repeated: of these, command ids seen before.
#: answered: requests whose reply was sent. never: taken and left without answer. malformed: answered with
#: no JSON. sent: replies sent, duplicates included. invalid: messages that were no request. failed: replies
#: that could not be sent after all attempts.
CAPABILITY_COUNTS = ("received", "repeated", "answered", "never", "malformed", "sent", "failed")
COUNTS = (*CAPABILITY_COUNTS, "invalid")


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request; a repeat of it changes `times` and `last`."""

    request: Request
    answer: Answer
    #: Whether a scenario gave the answer.
    scripted: bool
    #: ISO 8601.
    first: str
    last: str
    times: int = 1

    def as_json(self) -> dict[str, Any]:
        message = json.loads(self.request.text)
        return {
            "commandId": self.request.command_id,
            "requestKey": self.request.request_key,
            "capability": self.request.capability,
            "instance": self.request.instance,
            "branch": self.request.branch,
            "times": self.times,
            "firstReceived": self.first,
            "lastReceived": self.last,
            "answer": {**asdict(self.answer), "scripted": self.scripted},
            "header": message["header"],
            "body": message["body"],
        }


class Record:
    """Thread-safe. Bounded: see REQUESTS_KEPT and TEXT_KEPT."""

    def __init__(self, *, requests_kept: int = REQUESTS_KEPT, text_kept: int = TEXT_KEPT) -> None:
        self._lock = threading.Lock()
        self._requests_kept = requests_kept
        self._text_kept = text_kept
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._text = 0
        self._totals: Counter[str] = Counter()
        self._by_capability: dict[str, Counter[str]] = {}

    def note(self, request: Request, answer: Answer, *, scripted: bool, at: str) -> None:
        """Notes that the request came; its place stays that of the first time."""
        with self._lock:
            entry = self._entries.get(request.command_id)
            if entry is not None:
                entry.times += 1
                entry.last = at
                return
            self._entries[request.command_id] = Entry(
                request=request, answer=answer, scripted=scripted, first=at, last=at
            )
            self._text += len(request.text)
            while len(self._entries) > self._requests_kept or self._text > self._text_kept:
                _, oldest = self._entries.popitem(last=False)
                self._text -= len(oldest.request.text)

    def count(self, what: str, capability: str | None = None, by: int = 1) -> None:
        with self._lock:
            self._totals[what] += by
            if capability is not None:
                self._by_capability.setdefault(capability, Counter())[what] += by

    def requests(
        self, *, capability: str | None = None, instance: str | None = None, limit: int = REQUESTS_KEPT
    ) -> list[dict[str, Any]]:
        """The newest `limit` of those that fit, newest last."""
        with self._lock:
            fitting = [
                entry
                for entry in self._entries.values()
                if capability in (None, entry.request.capability) and instance in (None, entry.request.instance)
            ]
        return [entry.as_json() for entry in fitting[len(fitting) - min(limit, len(fitting)) :]]

    def counts(self) -> dict[str, Any]:
        with self._lock:
            return {
                **{name: self._totals[name] for name in COUNTS},
                "distinctCommandIds": self._totals["received"] - self._totals["repeated"],
                "capabilities": {
                    capability: {name: counts[name] for name in CAPABILITY_COUNTS}
                    for capability, counts in sorted(self._by_capability.items())
                },
            }

    def clear(self) -> None:
        """Requests and counts start at nothing; what was answered for a command id is not forgotten."""
        with self._lock:
            self._entries.clear()
            self._text = 0
            self._totals.clear()
            self._by_capability.clear()
