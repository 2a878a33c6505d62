"""Regular expressions that cannot backtrack: their time grows with the text, whatever the pattern."""

from __future__ import annotations

import functools
from typing import Any


@functools.lru_cache(maxsize=1024)
def linear(pattern: str, letters: str = "") -> Any:
    """A regular expression of RE2; ``letters`` are its flags.

    :raises ValueError: there is no such pattern, or only a backtracking engine could match it.
    """
    import re2  # noqa: PLC0415 - few need it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(f"(?{letters}){pattern}" if letters else pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"the regular expression /{pattern}/ cannot be used: {text}") from None
