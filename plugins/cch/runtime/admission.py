"""What a start must bring: the workflow and the version exist, and the context has what that version requires."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from cch.definition.catalogue import Catalogue
from cch.definition.naming import AmbiguousNameError
from cch.definition.starting import context_problems, start_context
from cch.errors import (
    DefinitionError,
    DefinitionNotFoundError,
    RejectedMessageError,
    ServiceUnavailableError,
    SettingsError,
    WrongUseError,
)
from cch.graph.planners import version_of
from cch.ledger.versions import Versions
from cch.messaging.starts import Admitted
from cch.runtime.choosing import Choice, Chooser

__all__ = ["CatalogueAdmission", "context_problems", "start_context"]

log = logging.getLogger(__name__)


class CatalogueAdmission:
    """:class:`~cch.messaging.starts.Admission` by the definitions that are published. ``clock``: ms since 1970."""

    def __init__(
        self,
        catalogue: Catalogue,
        versions: Versions,
        clock: Callable[[], int],
        awaited: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """``awaited``: the capabilities whose calls new instances leave to the triggerer."""
        self._chooser = Chooser(catalogue, versions, clock)
        self._awaited = awaited

    async def admit(
        self,
        workflow_id: str,
        context: Mapping[str, Any],
        definition_uri: str = "",
        *,
        version: str = "",
        key: str = "",
    ) -> Admitted:
        try:
            choice = await self._choice(workflow_id, definition_uri, version, key)
            definition = choice.definition
            full = await asyncio.to_thread(start_context, definition, context)
            problems = await asyncio.to_thread(context_problems, definition, full)
            planned = version_of(definition, await asyncio.to_thread(self._awaited))
            if not problems:
                await self._chooser.settle(choice)
        except (RejectedMessageError, ServiceUnavailableError):
            raise
        except SettingsError as error:  # the bindings: a person mends them, and the start waits
            raise ServiceUnavailableError(str(error)) from None
        except Exception as error:  # a start that cannot be judged must not hold up those behind it
            log.exception("cannot judge a start", extra={"cch_workflow": workflow_id})
            reason = f"cannot start {workflow_id}: checking it failed with {type(error).__name__}: {error}"
            raise RejectedMessageError(reason[:1000]) from None
        if problems:
            raise RejectedMessageError(f"cannot start {definition.workflow_id}: {'; '.join(problems)}")
        return Admitted(workflow_id=definition.workflow_id, context=full, version=planned, track=choice.track)

    async def _choice(self, workflow_id: str, definition_uri: str, version: str, key: str) -> Choice:
        try:
            return await self._chooser.choose(workflow_id, version, key, definition_uri)
        except WrongUseError as error:
            raise RejectedMessageError(f"cannot start {workflow_id}: {error}") from None
        except DefinitionNotFoundError as error:
            raise RejectedMessageError(str(error)) from None
        except AmbiguousNameError as error:
            first = error.problems[0]
            raise RejectedMessageError(f"cannot start {workflow_id}: {first.message}: {first.hint}") from None
        except DefinitionError as error:
            raise RejectedMessageError(
                f"the definition of {workflow_id!r} is not usable: {error.problems[0]}"
            ) from None
