"""Waiting that gives up only when nothing moves: a slow machine is no reason, work that stands still is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
#: What moves while work goes on, by name; only whether a value is another one than before counts.
Signs = Callable[[], Mapping[str, object]]
#: Seconds until the first look at the signs, and between two: each may cost calls.
_LOOK_EVERY = 5.0


class StandstillError(Exception):
    """Nothing has moved for long. Says what was waited for, and what stood still."""


def no_signs() -> Mapping[str, object]:
    """Nothing but what is waited for can be looked at."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Waits as long as a sign changes.

    ``still``: seconds without any change after which waiting is given up. Processes that share two cores with six
    others need up to a minute between two signs (Airflow's imports alone take 6 s of a core).
    """

    signs: Signs = no_signs
    still: float = 240.0
    pause: float = 0.3
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    check: Callable[[], None] = field(default=lambda: None)

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """The first true value that ``look`` returns; another false value than before is a sign, too.

        ``check`` is called before each look, and raises when waiting has become pointless.

        :raises StandstillError: nothing has changed for ``still`` seconds.
        """
        watch = Stillness(still=self.still, clock=self.clock)
        while True:
            self.check()
            if value := look():
                return value
            if watch.due:
                watch.see({**self.signs(), what: value})
            watch.give_up_on(what)
            self.sleep(self.pause)


@dataclass(slots=True, kw_only=True)
class Stillness:
    """How long nothing has moved: the part of :class:`Patience` that loops of their own share."""

    still: float
    clock: Callable[[], float] = time.monotonic
    _seen: set[tuple[str, str]] = field(default_factory=set)
    _last: Mapping[str, object] = field(default_factory=dict)
    _moved: float = field(init=False)
    _looked: float = field(init=False)

    def __post_init__(self) -> None:
        self._moved = self._looked = self.clock()

    @property
    def due(self) -> bool:
        """Whether it is time to look at the signs again."""
        return self.clock() - self._looked >= _LOOK_EVERY

    def see(self, signs: Mapping[str, object]) -> None:
        """Compare with all that was seen before: what goes to and fro between the same values does not move."""
        now = self._looked = self.clock()
        values = {(name, str(value)) for name, value in signs.items()}
        if values - self._seen:
            self._moved = now
        self._seen |= values
        self._last = signs

    def give_up_on(self, what: str) -> None:
        """:raises StandstillError: nothing has moved for long."""
        now = self.clock()
        if now - self._moved > self.still:
            stood = ", ".join(f"{name} ({_short(value)})" for name, value in self._last.items())
            raise StandstillError(
                f"{what}: nothing has moved for {now - self._moved:.0f} s; what stands still: {stood}"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]} …"
