"""What was started, and how watching it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cch.runtime.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A start that was sent; ``at`` in ms."""

    instance_id: str
    workflow_id: str
    command_id: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How watching ended. ``status`` is the instance's, or sent, rejected, timeout; ``seconds`` since the start."""

    started: Started
    status: str
    progress: Progress | None = None
    reason: str = ""
    seconds: float = 0.0
