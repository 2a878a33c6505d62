"""What a start must bring: the workflow exists, and the context has what it requires."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from cch.definition.catalogue import Catalogue
from cch.definition.model import Definition
from cch.errors import DefinitionError, DefinitionNotFoundError, RejectedMessageError

#: Whole numbers beyond 64 bits cannot pass Airflow's own channels (msgpack).
_BIGGEST = 2**63 - 1
#: Most problems of one kind that are told: a message may hold thousands.
_MOST = 20


def _large_numbers(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _BIGGEST:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _large_numbers(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _large_numbers(child, f"{path}[{index}]")


def context_problems(definition: Definition, context: Mapping[str, Any]) -> list[str]:
    """Why ``context`` cannot start ``definition``; empty if it can."""
    missing = [key for key in definition.required if context.get(key) is None]
    problems = [f"required key {key!r} is missing" for key in missing]
    for key, schema in definition.required.items():
        if key not in missing and schema is not True:
            errors = itertools.islice(jsonschema.Draft202012Validator(schema).iter_errors(context[key]), _MOST)
            problems.extend(f"{key!r}: {error.message[:200]}" for error in errors)
    large = itertools.islice(_large_numbers(dict(context), ""), _MOST)
    problems.extend(f"{path[1:][:200]} is a number beyond 64 bits" for path in large)
    return problems


class CatalogueAdmission:
    """:class:`~cch.messaging.starts.Admission` by the definitions that are published."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def admit(self, workflow_id: str, context: Mapping[str, Any]) -> None:
        try:
            definition = await asyncio.to_thread(self._catalogue.current, workflow_id)
        except DefinitionNotFoundError as error:
            raise RejectedMessageError(str(error)) from None
        except DefinitionError as error:
            raise RejectedMessageError(
                f"the definition of {workflow_id!r} is not usable: {error.problems[0]}"
            ) from None
        problems = context_problems(definition, context)
        if problems:
            raise RejectedMessageError(f"cannot start {workflow_id}: {'; '.join(problems)}")
