"""How much one simulation may do, so that every one of them ends in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cch.errors import CchError
from cch.interpreter.outcome import Outcome

#: Most visits of nodes: 1,000 items of a map with 100 nodes each, in half a minute.
MAX_VISITS = 100_000
#: Most looks at the clock: a few for each visit, and one for each wait.
MAX_STEPS = 1_000_000
#: Most JSON text (characters) that all visits may write: contexts share what a visit did not touch.
MAX_WRITTEN = 128 * 1024 * 1024


class BoundMetError(CchError):
    """The simulation has come to a bound; the message names it."""

    code = "CCH-S002"


@dataclass(slots=True)
class Bounds:
    """What one simulation has used up."""

    visits: int = 0
    steps: int = 0
    written: int = 0

    def step(self) -> None:
        """:raises BoundMetError: too many."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise BoundMetError(f"stopped after {MAX_STEPS} steps: it seems to go on for ever")

    def visit(self, outcomes: Sequence[Outcome]) -> None:
        """:raises BoundMetError: too many visits, or they have written too much."""
        self.visits += len(outcomes)
        self.written += sum(len(json.dumps(outcome.patch)) for outcome in outcomes)
        if self.visits > MAX_VISITS:
            raise BoundMetError(f"stopped after {MAX_VISITS} visits: it seems to go on for ever")
        if self.written > MAX_WRITTEN:
            raise BoundMetError(f"stopped when its visits had written {MAX_WRITTEN // 1024 // 1024} MiB of memory")
