"""The one error tree, and the problems that are collected instead of raised.

Every error says what is wrong, where, and what to do; ``code`` is stable and may be searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning", "advice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a definition.

    ``line`` and ``column`` count from 1; 0 means the file as a whole.
    """

    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.severity} {self.code}: {self.message}{hint}"


class CchError(Exception):
    """Anything this project raises on purpose."""

    code: ClassVar[str] = "CCH-X000"


class SettingsError(CchError):
    """A setting is missing or cannot be used."""

    code = "CCH-X001"


class WrongUseError(CchError):
    """A command was asked for something impossible. Only the request has to be fixed; nothing else is wrong."""

    code = "CCH-X003"


class ServiceUnavailableError(CchError):
    """AWS (or its stand-in) does not answer, or refuses the credentials."""

    code = "CCH-X002"


class MessageRefusedError(CchError):
    """SQS does not take this message, now or ever: too large for its queue, or with what no message may have."""

    code = "CCH-X004"


class DefinitionError(CchError):
    """A definition cannot be used; ``problems`` has every reason at once."""

    code = "CCH-D000"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DefinitionNotFoundError(CchError):
    """No definition of that name or digest where definitions are kept."""

    code = "CCH-D010"


class GraphError(CchError):
    """The graph of a valid definition was used in a way it does not allow."""

    code = "CCH-G000"


class LedgerError(CchError):
    """The ledger holds something that the protocol rules out."""

    code = "CCH-L000"


class StructureChangedError(LedgerError):
    """The definition was republished with another structure while the instance runs."""

    code = "CCH-L001"


class ReplyError(CchError):
    """A message could not be understood; ``reason`` goes to the dead-letter queue with it."""

    code = "CCH-R000"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class MalformedMessageError(ReplyError):
    """Not JSON, too large, or a field is missing or wrong."""

    code = "CCH-R001"


class RejectedMessageError(ReplyError):
    """Well formed, but it asks for something that is not allowed or does not exist."""

    code = "CCH-R002"


class CapabilityError(CchError):
    """A capability could not be called, or did not deliver what it declares."""

    code = "CCH-C000"

    def __init__(
        self, message: str = "", *, codes: Sequence[str] = (), retry_after: float = 0.0, final: bool = False
    ) -> None:
        """``codes``: more names under which ``retry.on`` knows it. ``retry_after``: seconds before another attempt.

        ``final``: another attempt could not do better.
        """
        self.codes = tuple(codes)
        self.retry_after = retry_after
        self.final = final
        super().__init__(message)


class CapabilityNotBoundError(CapabilityError):
    """Nothing is bound to the capability id."""

    code = "CCH-C001"


class MissingOutputError(CapabilityError):
    """A declared output is not in the answer."""

    code = "CCH-C002"


class BrokenContractError(CapabilityError):
    """A call, or what it returned, breaks the contract of its capability, which says `enforce: fail`."""

    code = "CCH-C004"


class CapabilityTimeoutError(CapabilityError):
    """A synchronous call took longer than the node's ``timeout``."""

    code = "CCH-C003"
