"""Scenario files: what each capability answers, call by call."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Literal

from capability_mock.durations import seconds_of
from capability_mock.source import Path, Problem, Source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Status = Literal["SUCCESS", "ERROR"]
CountPer = Literal["instance", "service"]

#: Keys of the scenario form that other programs (simulator, runner) act on.
IGNORED_KEYS = (
    "name", "description", "workflow", "start", "correlation_id", "context", "lists", "objects", "events", "expect",
)  # fmt: skip
TOP_KEYS = ("capabilities", "time_scale", "count_per", *IGNORED_KEYS)
FLAG_KEYS = ("never", "malformed", "echo", "before", "out_of_order")
ANSWER_KEYS = ("status", "payload", "after", "branch", "duplicate", *FLAG_KEYS)

#: A guard against a slip of the pen; more copies prove nothing.
MOST_SENDINGS = 1_000


class ScenarioError(Exception):
    """A scenario that cannot be used; carries every problem, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a capability does with one request."""

    status: Status = "SUCCESS"
    #: None: the default payload for this capability.
    payload: Mapping[str, Any] | None = None
    #: Seconds between the request's arrival and the reply; `time_scale` is already applied.
    after: float = 0.0
    #: The branch key this answer is for; None: for all that have none of their own.
    branch: str | None = None
    #: How often the reply is sent in total.
    sendings: int = 1
    #: Takes the request and stays silent.
    never: bool = False
    #: The reply is no JSON.
    malformed: bool = False
    #: False: the reply carries no `inReplyTo`, as older capabilities do.
    echo: bool = True
    #: Held back until the next reply of the same capability has been sent.
    out_of_order: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A checked scenario. A sequence is a capability's answers for one branch key (None: for the others)."""

    name: str = ""
    sequences: Mapping[tuple[str, str | None], tuple[Answer, ...]] = field(default_factory=dict)
    #: `instance`: every workflow instance sees the sequences from their start. `service`: all share them.
    count_per: CountPer = "instance"

    def sequence(self, capability: str, branch: str | None) -> tuple[Answer, ...]:
        """Empty when the scenario says nothing about this capability and branch."""
        general = self.sequences.get((capability, None), ())
        return self.sequences.get((capability, branch), general)


def load_scenario(path: str | FilePath, *, time_scale: float | None = None) -> Scenario:
    """Reads a scenario file. Raises ScenarioError, also when the file cannot be read."""
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(file=str(path), key="", message=f"cannot be read: {error}")]) from error
    return parse_scenario(text, file=str(path), time_scale=time_scale)


def parse_scenario(text: str, *, file: str = "scenario", time_scale: float | None = None) -> Scenario:
    """Reads YAML or JSON text; `time_scale`, when given, replaces the file's own.

    Raises ScenarioError with all problems, each with file, key, position and what is allowed.
    """
    source = read_source(text, file=file)
    if source.problems:
        raise ScenarioError(source.problems)
    document = source.value
    if not isinstance(document, dict):
        source.complain((), "a scenario is a mapping with the key capabilities")
        raise ScenarioError(source.problems)
    _check_keys(document, TOP_KEYS, (), source)
    scale = _scale(document.get("time_scale", 1.0), source) if time_scale is None else time_scale
    count_per = document.get("count_per", "instance")
    if count_per not in ("instance", "service"):
        source.complain(("count_per",), f"{count_per!r} is not allowed; allowed: instance, service")
    sequences = _sequences(document.get("capabilities") or {}, scale, source)
    if source.problems:
        raise ScenarioError(sorted(source.problems, key=lambda problem: (problem.line or 0, problem.column or 0)))
    return Scenario(name=str(document.get("name") or ""), sequences=sequences, count_per=count_per)


def time_scale_of(value: Any) -> float:
    """A factor for every `after`. Raises ValueError unless it is a finite number of at least 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} is not a number of at least 0, such as 0.001")
    return float(value)


def _scale(value: Any, source: Source) -> float:
    try:
        return time_scale_of(value)
    except ValueError as error:
        source.complain(("time_scale",), str(error))
        return 1.0


def _check_keys(mapping: Mapping[str, Any], allowed: tuple[str, ...], path: Path, source: Source) -> None:
    for key in mapping:
        if key not in allowed and not key.startswith("x-"):
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            source.complain((*path, key), f"unknown key; {hint}allowed: {', '.join(allowed)}")


def _sequences(capabilities: Any, scale: float, source: Source) -> dict[tuple[str, str | None], tuple[Answer, ...]]:
    collected: dict[tuple[str, str | None], list[Answer]] = {}
    if not isinstance(capabilities, dict):
        source.complain(("capabilities",), "must be a mapping: capability id to list of answers")
        return {}
    for capability, answers in capabilities.items():
        path: Path = ("capabilities", capability)
        if not isinstance(answers, list) or not answers:
            source.complain(path, "must be a list of at least one answer")
            continue
        for index, raw in enumerate(answers):
            answer = _answer(raw, scale, (*path, index), source)
            collected.setdefault((capability, answer.branch), []).append(answer)
    return {key: tuple(answers) for key, answers in collected.items()}


def _answer(raw: Any, scale: float, path: Path, source: Source) -> Answer:
    """The answer, with defaults in the place of what is wrong (and reported)."""
    if not isinstance(raw, dict):
        source.complain(path, f"an answer is a mapping; allowed keys: {', '.join(ANSWER_KEYS)}")
        return Answer()
    _check_keys(raw, ANSWER_KEYS, path, source)
    status = raw.get("status", "SUCCESS")
    if status not in ("SUCCESS", "ERROR"):
        source.complain((*path, "status"), f"{status!r} is not allowed; allowed: SUCCESS, ERROR")
    payload = raw.get("payload")
    if payload is not None and not isinstance(payload, dict):
        source.complain((*path, "payload"), "must be a mapping of context keys")
        payload = None
    after = 0.0
    try:
        after = seconds_of(raw.get("after", 0)) * scale
    except ValueError as error:
        source.complain((*path, "after"), str(error))
    branch = raw.get("branch")
    if isinstance(branch, bool) or not isinstance(branch, str | int | None):
        source.complain((*path, "branch"), f"{branch!r} is not a branch key: text is allowed")
    sendings = raw.get("duplicate", 1)
    if isinstance(sendings, bool) or not isinstance(sendings, int) or not 1 <= sendings <= MOST_SENDINGS:
        source.complain(
            (*path, "duplicate"),
            f"{sendings!r} is not a whole number from 1 to {MOST_SENDINGS} (sendings in total)",
        )
    for flag in FLAG_KEYS:
        if not isinstance(raw.get(flag, False), bool):
            source.complain((*path, flag), f"{raw[flag]!r} is not allowed; allowed: true, false")
    return Answer(
        status=status,
        payload=payload,
        after=0.0 if raw.get("before") is True else after,
        branch=None if branch is None else str(branch),
        sendings=sendings,
        never=raw.get("never", False),
        malformed=raw.get("malformed", False),
        echo=raw.get("echo", True),
        out_of_order=raw.get("out_of_order", False),
    )
