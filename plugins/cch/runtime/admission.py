"""What a start must bring: the workflow exists, and the context has what it requires."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from cch.definition.catalogue import Catalogue
from cch.definition.model import Definition
from cch.definition.starting import context_problems, start_context
from cch.errors import DefinitionError, DefinitionNotFoundError, RejectedMessageError, ServiceUnavailableError
from cch.graph.planners import version_of
from cch.messaging.starts import Admitted

__all__ = ["CatalogueAdmission", "context_problems", "start_context"]

log = logging.getLogger(__name__)


class CatalogueAdmission:
    """:class:`~cch.messaging.starts.Admission` by the definitions that are published."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def admit(self, workflow_id: str, context: Mapping[str, Any], definition_uri: str = "") -> Admitted:
        try:
            return await asyncio.to_thread(self._admit, workflow_id, context, definition_uri)
        except (RejectedMessageError, ServiceUnavailableError):
            raise
        except Exception as error:  # a start that cannot be judged must not hold up those behind it
            log.exception("cannot judge a start", extra={"cch_workflow": workflow_id})
            reason = f"cannot start {workflow_id}: checking it failed with {type(error).__name__}: {error}"
            raise RejectedMessageError(reason[:1000]) from None

    def _admit(self, workflow_id: str, context: Mapping[str, Any], definition_uri: str) -> Admitted:
        definition = self._definition(workflow_id, definition_uri)
        full = start_context(definition, context)
        problems = context_problems(definition, full)
        if problems:
            raise RejectedMessageError(f"cannot start {definition.workflow_id}: {'; '.join(problems)}")
        self._catalogue.keep(definition)  # before anybody relies on it: the file may be overwritten at any time
        return Admitted(workflow_id=definition.workflow_id, context=full, version=version_of(definition))

    def _definition(self, workflow_id: str, definition_uri: str) -> Definition:
        try:
            return self._catalogue.current(workflow_id)
        except DefinitionNotFoundError as error:
            named = self._catalogue.at(definition_uri)
            if named is None:
                raise RejectedMessageError(str(error)) from None
            return named
        except DefinitionError as error:
            raise RejectedMessageError(
                f"the definition of {workflow_id!r} is not usable: {error.problems[0]}"
            ) from None
