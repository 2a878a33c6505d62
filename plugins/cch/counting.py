"""How many of something, as people say it."""

from __future__ import annotations


def counted(number: int | str, one: str, more: str = "") -> str:
    """The number with the words for one, or for any other number (``more``; by default with an ``s``).

    >>> counted(1, "message waits", "messages wait"), counted("0", "item"), counted(1200, "item")
    ('1 message waits', '0 items', '1200 items')
    """
    return f"{number} {one if str(number) == '1' else more or one + 's'}"
