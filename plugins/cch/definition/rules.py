"""The number of the rules by which a definition's text is read: what its scalars, paths, expressions and ends mean.

An instance keeps the number with which it began, because its text is parsed again by every later program.
"""

from __future__ import annotations

#: The rules of instances that were stored without a number. Stored: never change what it stands for.
FIRST = 1
#: Scalars as JSON writes them, one grammar of paths, lists for expressions that may match several values.
SECOND = 2
#: An instance has to reach an ``end``; ``max_visits`` bounds every circle, also one of failures.
THIRD = 3
#: What a new instance records.
NEWEST = THIRD
