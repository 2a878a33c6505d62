"""How the services of a stack are, and why they have ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cch.stack.local import LocalStack
from cch.stack.supervised import End


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One service. ``pid``: None while it does not run. ``count``: how often it has ended by itself; ``ends``: the last
    of these; ``returns``: it is going to be started again.
    """

    name: str
    pid: int | None
    log: str
    count: int = 0
    ends: Sequence[End] = ()
    returns: bool = False

    @property
    def story(self) -> str:
        """What has happened to it, for people; "" if nothing has."""
        if not self.ends:
            return ""
        often = "ended once" if self.count == 1 else f"ended {self.count} times, the last time"
        now = "runs again" if self.pid else "is started again soon" if self.returns else "was stopped"
        return f"{often} {told(self.ends[-1])}; {now}"


def told(end: End) -> str:
    """When, after how long and why."""
    return f"at {time.strftime('%H:%M:%S', time.localtime(end.at))} after {end.ran:.0f} s ({end.reason})"


def health(stack: LocalStack) -> list[Health]:
    """Of every service of the stack's topology."""
    return [_health(stack, name) for name in stack.topology.services]


def _health(stack: LocalStack, name: str) -> Health:
    state, pid = stack.processes.state(name), stack.processes.pid(name)
    return Health(
        name=name, pid=pid, log=str(stack.processes.log(name)), count=state.count if state else 0,
        ends=state.ends if state else (), returns=pid is None and stack.processes.has(name),
    )  # fmt: skip


class Ends:
    """Tells each end of a service once."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._told = {each.name: each.count for each in health(stack)}

    def fresh(self) -> list[str]:
        """What has happened since the last time, a line for each service."""
        lines = []
        for each in health(self._stack):
            if each.ends and each.count > self._told.get(each.name, 0):
                lines.append(f"{each.name} {each.story} (log: {each.log})")
            self._told[each.name] = each.count
        return lines
