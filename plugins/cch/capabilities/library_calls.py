"""Runs a function of the library, the same way on every host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cch.capabilities.failing import as_failure
from cch.capabilities.registry import ObjectReader, find_library
from cch.settings import Settings


@dataclass(frozen=True, slots=True)
class LibraryWork:
    """One call of a library function by a definition that is read by ``rules``."""

    function_id: str
    parameters: Mapping[str, Any]
    context: Mapping[str, Any]
    rules: int


def run_library(work: LibraryWork, settings: Settings, read: ObjectReader) -> Any:
    """What the function returns.

    :raises CapabilityError: there is no such function, or it failed.
    """
    bound = find_library(work.function_id, settings)
    with as_failure(work.function_id):
        if bound.by_rules:
            return bound.function(work.parameters, work.context, read, work.rules)
        return bound.function(work.parameters, work.context, read)
