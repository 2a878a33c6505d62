"""What every type of node says of itself. The rest of the program asks for that, not for the type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cch.definition.uses import (
    Read,
    Write,
    Written,
    asking_expressions,
    keys_of_reply,
    read_by,
    sent_paths,
    write_paths,
)
from cch.durations import LONGEST

#: instant: the node needs neither time nor anybody else. waits: it waits for an answer, in the triggerer. calls: it
#: runs somebody's code, on a worker. maps: it runs its body for each item of a list.
Effect = Literal["instant", "waits", "calls", "maps"]
#: Who answers: a service behind a queue, code that is bound to a capability, a function of the library.
Answerer = Literal["queue", "binding", "library"]
#: What a capability that is asked again tells a repetition by: the visit, or the single attempt.
Idempotency = Literal["visit", "attempt"]
#: (label, target) of a way.
Way = tuple[str, str]

#: How often a loop may come back to a node when the definition does not say (language, "max_visits").
DEFAULT_MAX_VISITS = 1000
#: Label of the way from a map to the first node of its body.
MAP_ITEM = "item"
#: Label of the implied way that closes a branch.
BRANCH_END = "end_of_branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Attempts after a failure; ``delay``, ``max_delay`` in seconds."""

    max_attempts: int = 1
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    on: tuple[str, ...] | None = None

    def pause(self, attempt: int) -> float:
        """Seconds to wait after ``attempt`` (from 1) has failed; never more than a century.

        Exactly so long, and nothing of it is left to chance as in :mod:`cch.pauses`: the definition promises it, a
        replay has to come to the same moment, and instances fail at moments of their own.
        """
        try:
            pause = self.delay * self.backoff ** (attempt - 1)
        except OverflowError:
            pause = LONGEST if self.delay else 0.0
        return min(pause, LONGEST if self.max_delay is None else self.max_delay)

    def covers(self, codes: tuple[str, ...]) -> bool:
        """Whether a failure with these error codes is tried again."""
        return self.on is None or bool(set(self.on) & set(codes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom a node asks: the id of a capability or function, and the key of the definition that names it.

    ``sends``: the paths of the context that are sent; None: all of it, unless ``input`` says what is. ``wants``: the
    keys of the answer that the node names; None or none: whatever comes. ``output``: what is written of the answer;
    None: all of it.
    """

    answerer: Answerer
    id: str
    key: str
    sends: tuple[str, ...] | None = None
    input: Mapping[str, Any] | None = None
    wants: tuple[str, ...] | None = None
    output: Mapping[str, Any] | None = None

    @property
    def is_capability(self) -> bool:
        """Whether somebody else serves it, who may have a contract."""
        return self.answerer != "library"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """The keys of all types, and what the graph, the interpreter and the pages ask of each.

    A type overrides what is different for it. The defaults are those of an instant node that goes on.
    """

    #: As the definition calls the type.
    type: ClassVar[str]
    effect: ClassVar[Effect] = "instant"
    #: How diagrams draw it.
    shape: ClassVar[Literal["terminal", "decision", "parallel", "request", "event", "step"]] = "step"
    #: The keys whose value names a node, and those whose value is a list or mapping of names.
    target_keys: ClassVar[tuple[str, ...]] = ()
    target_lists: ClassVar[tuple[str, ...]] = ()
    #: An instant node with one way on: it may be evaluated later than it is reached, before what it leads to.
    is_plain: ClassVar[bool] = False
    #: The label of the way that it goes at once, while it keeps a token for something that it does later.
    at_once: ClassVar[str | None] = None

    name: str
    title: str = ""
    description: str = ""
    on_failure: str | None = None
    max_visits: int = DEFAULT_MAX_VISITS
    line: int = 0
    column: int = 0

    @classmethod
    def fields_of(cls, keys: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the record by the keys of the definition."""
        return dict(keys)

    # --- ways -----------------------------------------------------------------------------------------------------

    def onward(self) -> tuple[Way, ...]:
        """The ways that the definition writes, without ``on_failure``."""
        found = ((key, getattr(self, key)) for key in self.target_keys)
        return tuple((label, target) for label, target in found if target is not None)

    def ways(self) -> tuple[Way, ...]:
        """All ways that the definition writes, in their order."""
        return self.onward() if self.on_failure is None else (*self.onward(), ("on_failure", self.on_failure))

    @property
    def open_way(self) -> str | None:
        """The label of the way that a join may imply, because the definition writes none for success."""
        return None

    @property
    def ends(self) -> Literal["branch", "success", "failed"] | None:
        """What ends here, if nothing comes after it: a branch, or the instance and how."""
        return None

    @property
    def is_end(self) -> bool:
        """Whether the instance may be completed here."""
        return self.ends in ("success", "failed")

    @property
    def needs_nobody(self) -> bool:
        """Whether reaching it is all that it does, so that no task has to execute it."""
        return False

    @property
    def may_fail(self) -> bool:
        """Whether an instant node may fail by what it finds, or always does."""
        return self.decides_by is not None or bool(self.joins) or self.ends == "failed"

    @property
    def parallel(self) -> tuple[str, ...]:
        """The nodes that all get a token when it goes on."""
        return ()

    @property
    def joins(self) -> tuple[str, ...]:
        """The branches of which each must have brought a token before it runs."""
        return ()

    @property
    def decides_by(self) -> str | None:
        """The path of the value by which it chooses its way."""
        return None

    @property
    def labels(self) -> tuple[str, ...]:
        """The values that it compares with, as text."""
        return ()

    # --- context --------------------------------------------------------------------------------------------------

    def reads(self) -> tuple[Read, ...]:
        """The paths that it reads; a node that sends the whole context names none."""
        return ()

    def writes(self) -> tuple[Write, ...]:
        """The paths that it writes under names of the definition; a reply's or event's ``status`` has none."""
        return ()

    @property
    def writes_anything(self) -> bool:
        """Whether it writes whatever somebody answers, under names that the definition does not have."""
        return False

    @property
    def constants(self) -> Mapping[str, Any]:
        """The values of the definition that it writes, by path."""
        return {}

    def expressions(self) -> tuple[Written, ...]:
        """The expressions that it evaluates."""
        return ()

    # --- others ---------------------------------------------------------------------------------------------------

    @property
    def asks(self) -> Asked | None:
        """Whom it asks."""
        return None

    @property
    def event_path(self) -> str:
        """The path in its payload by which it knows its event; "" for any event, and for a node that takes none."""
        return ""

    @property
    def takes_some(self) -> bool:
        """Whether it takes only some of the events that it knows by that path."""
        return False

    @property
    def form(self) -> Mapping[str, Any] | None:
        """The JSON Schema of what a person fills in for it."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(NodeRecord):
    """Nodes that wait or call; ``timeout`` in seconds, None waits for ever."""

    timeout: float | None = None
    on_timeout: str | None = None
    #: Keys that whoever answers brings, for the checks: where nothing else says what it is.
    brings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requesting(Timed):
    """Nodes that send a request over a queue."""

    effect: ClassVar[Effect] = "waits"
    shape = "request"
    target_keys: ClassVar[tuple[str, ...]] = ("on_response", "on_timeout")

    capability_id: str
    on_response: str
    #: None: the whole context is sent, unless ``input`` says what is.
    input_keys: tuple[str, ...] | None = None
    input: Mapping[str, Any] | None = None
    request_output_keys: tuple[str, ...] = ()
    #: What of a reply is written, by path; None: all of it.
    output: Mapping[str, Any] | None = None
    retry: Retry = Retry()
    idempotency: Idempotency = "visit"
    #: Whether the capability reads a context that is too large for a message from where the request says it is.
    payload_ref: bool = False
    error_reply: Literal["response", "failure"] | None = None

    @classmethod
    def fields_of(cls, keys: Mapping[str, Any]) -> dict[str, Any]:
        """``output_keys`` is the older name of ``request_output_keys``."""
        fields = dict(keys)
        if "output_keys" in fields:
            older = fields.pop("output_keys")
            fields.setdefault("request_output_keys", older)
        return fields

    def reads(self) -> tuple[Read, ...]:
        return (*sent_paths(self.input_keys), *read_by(self.expressions()))

    def writes(self) -> tuple[Write, ...]:
        brought = write_paths("brings", self.brings, "path")
        if self.output is not None:
            return (*write_paths("output", self.output, "path"), *brought)
        return (*write_paths("request_output_keys", self.request_output_keys, "key"), *brought)

    @property
    def writes_anything(self) -> bool:
        return self.output is None and not self.request_output_keys and not self.brings

    def expressions(self) -> tuple[Written, ...]:
        return asking_expressions(self.input, self.output)

    @property
    def asked_keys(self) -> tuple[str, ...]:
        """The keys that the capability is asked to deliver."""
        return self.request_output_keys if self.output is None else keys_of_reply(self.output)

    @property
    def asks(self) -> Asked:
        return Asked(
            answerer="queue", id=self.capability_id, key="capability_id", sends=self.input_keys, input=self.input,
            wants=self.asked_keys, output=self.output,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling(Timed):
    """Nodes that run somebody's code."""

    effect: ClassVar[Effect] = "calls"
    target_keys = ("on_success", "on_timeout")

    on_success: str | None = None
    retry: Retry = Retry()
