"""Puts a function around one of Airflow's own; once, however often the plugin is loaded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def replace(
    owner: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]], *, mark: str = "_cch"
) -> None:
    """Replace a method by what ``make`` makes of it, unless that has been done.

    ``make`` gets the method as ``getattr(owner, name)`` gives it: a classmethod comes bound, and its replacement gets
    neither class nor instance. ``mark``: tells two replacements of one method apart.
    """
    original = getattr(owner, name)
    if not getattr(original, mark, False):
        replacement = functools.wraps(getattr(original, "__func__", original))(make(original))
        setattr(replacement, mark, True)
        of_class = isinstance(vars(owner)[name], classmethod | staticmethod)
        setattr(owner, name, staticmethod(replacement) if of_class else replacement)
