"""Whether this Airflow has what a hook needs: asked of its code, never of its number.

A *hook* is one thing that the plugin changes in a process of Airflow. It is installed where all of its needs are met,
also in a version of Airflow that nobody has tested; where one is not met, this hook is left out, and no other.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from cch.settings import Settings

log = logging.getLogger(__name__)

#: The versions of Airflow with which every hook has been tested; others are asked, as these are.
TESTED = ("3.3.0", "3.3.1", "3.3.2")


@dataclass(frozen=True, slots=True)
class Need:
    """Something of Airflow that a hook relies on. ``unmet``: what people read if it is not as it should be."""

    unmet: str
    probe: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One thing that is changed in a process of Airflow. ``without``: how Airflow works where it is not changed."""

    name: str
    without: str
    needs: Sequence[Need]
    #: The setting that switches it off; "": none does.
    switch: str = ""

    def reason_against(self, settings: Settings) -> str:
        """Why the hook is not installed, in words that follow "because"; "" if it is."""
        if self.switch and not getattr(settings, self.switch):
            return f"{SWITCHED_OFF} ([cch] {self.switch})"
        unmet = "; ".join(unmet_of(self.needs))
        return f"Airflow {airflow_version()} is not as this release knows it: {unmet}" if unmet else ""

    def may_be_installed(self, settings: Settings) -> bool:
        """Whether it may; if Airflow is the obstacle, the log says what is missing."""
        reason = self.reason_against(settings)
        if reason and not reason.startswith(SWITCHED_OFF):
            log.warning("the hook %s is left out, so %s: %s", self.name, self.without, reason)
        return not reason


#: The beginning of the reason against a hook that an operator does not want.
SWITCHED_OFF = "it is switched off"


def airflow_version() -> str:
    from airflow import __version__  # noqa: PLC0415 - slow

    return str(__version__)


def unmet_of(needs: Sequence[Need]) -> Iterator[str]:
    """What is not as it should be."""
    for need in needs:
        try:
            good = need.probe()
        except Exception as error:  # noqa: BLE001 - what is asked of may be gone, in whatever way
            yield f"{need.unmet} ({type(error).__name__}: {str(error)[:200]})"
            continue
        if not good:
            yield need.unmet


def has_parameters(function: Callable[..., object], *names: str) -> bool:
    """Whether a function has parameters of these names."""
    return set(names) <= inspect.signature(function).parameters.keys()


def takes(function: Callable[..., object], *names: str) -> bool:
    """Whether a function has parameters of these names, and can be called with them alone."""
    needed = {
        name
        for name, each in inspect.signature(function).parameters.items()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }
    return has_parameters(function, *names) and needed <= {*names, "self", "cls"}


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Airflow's own function, without decorators and without what this package has put around it."""
    found: Callable[..., Any] = inspect.unwrap(getattr(function, "__func__", function))
    return found


def mentions(function: Callable[..., object], *names: str) -> bool:
    """Whether the code of a function, or of one within it, names all of these attributes or globals."""
    return set(names) <= _names(unwrapped(function).__code__)


def _names(code: CodeType) -> set[str]:
    inner = [_names(each) for each in code.co_consts if isinstance(each, CodeType)]
    return {*code.co_names}.union(*inner)


def has_columns(model: Any, *names: str) -> bool:
    """Whether a table of Airflow's has these columns."""
    return set(names) <= {column.key for column in model.__table__.columns}
