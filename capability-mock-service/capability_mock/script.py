"""Which answer comes next: scenarios with the count of the calls so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from capability_mock.memory import Memory
from capability_mock.scenario import Answer, Scenario

if TYPE_CHECKING:
    from capability_mock.messages import Request

#: Call counts (a number each) and scenarios of single instances that are kept; older ones start anew.
COUNTS_KEPT = 100_000
INSTANCE_SCENARIOS_KEPT = 10_000

DEFAULT_ANSWER = Answer()


class Script:
    """A scenario being played; counts per capability, branch key and (by `count_per`) workflow instance."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._calls: Memory[tuple[str, str | None, str | None], int] = Memory(COUNTS_KEPT)

    def next_answer(self, request: Request) -> Answer | None:
        """The answer for this call, and counts it. None: the scenario does not speak of this capability."""
        sequence = self.scenario.sequence(request.capability, request.branch)
        if not sequence:
            return None
        instance = request.instance if self.scenario.count_per == "instance" else None
        key = (request.capability, request.branch, instance)
        calls = self._calls.get(key) or 0
        self._calls.put(key, calls + 1)
        return sequence[min(calls, len(sequence) - 1)]


class Scripts:
    """The general scenario, and those set for single instances. Not thread-safe.

    An instance with a scenario of its own sees nothing of the general one. Setting a scenario starts its
    count anew.
    """

    def __init__(self, scenario: Scenario | None = None) -> None:
        self._general = Script(scenario or Scenario())
        self._by_instance: Memory[str, Script] = Memory(INSTANCE_SCENARIOS_KEPT)

    def put(self, scenario: Scenario, instance: str | None = None) -> None:
        if instance is None:
            self._general = Script(scenario)
        else:
            self._by_instance.put(instance, Script(scenario))

    def clear(self, instance: str | None = None) -> None:
        """Back to the default answers; for an instance: back to the general scenario."""
        if instance is None:
            self._general = Script(Scenario())
        else:
            self._by_instance.drop(instance)

    def clear_all(self) -> None:
        self.clear()
        self._by_instance.clear()

    def next_answer(self, request: Request) -> tuple[Answer, bool]:
        """The answer, and whether a scenario gave it (else it is the default answer)."""
        script = self._by_instance.get(request.instance) or self._general
        answer = script.next_answer(request)
        return (DEFAULT_ANSWER, False) if answer is None else (answer, True)

    def instances(self) -> tuple[str, ...]:
        return self._by_instance.keys()

    @property
    def general(self) -> Scenario:
        return self._general.scenario
