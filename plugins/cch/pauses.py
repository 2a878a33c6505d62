"""Pauses between tries while something does not answer: longer each time, and not in step with anybody else's.

Thousands of regions wait in a triggerer, and an outage ends for all of them in the same moment. Half of each pause is
therefore left to chance ("equal jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

#: Doublings after which every pause is the longest one.
_MOST_DOUBLINGS = 32


@dataclass(slots=True)
class Pauses:
    """The pauses of one who tries again.

    ``first`` and ``longest`` are in seconds. ``draw`` gives numbers from 0 to 1, where 1 leaves nothing to chance.
    """

    first: float = 1.0
    longest: float = 30.0
    draw: Callable[[], float] = random.random
    #: How often it has been tried without an answer.
    tries: int = 0

    def next(self) -> float:
        """Seconds to the next try."""
        pause = self.after(self.tries)
        self.tries += 1
        return pause

    def after(self, tries: int) -> float:
        """Seconds to wait after ``tries`` earlier pauses, for those who remember the number elsewhere."""
        whole = min(self.first * 2.0 ** min(tries, _MOST_DOUBLINGS), self.longest)
        return whole / 2 + self.draw() * whole / 2

    def reset(self) -> None:
        """It answers again."""
        self.tries = 0


#: Makes the pauses for one piece of work.
MakePauses = Callable[[], Pauses]
