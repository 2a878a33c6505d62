"""Which version a run means by what it says, and Airflow's copy of it. Blocking: called beside the scheduler's loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cch.definition.version import Version, parse_version
from cch.errors import DefinitionNotFoundError, WrongUseError
from cch.graph.planners import planner_for
from cch.scheduling.absent import Finding, Wish, store_version

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from cch.settings import Settings


async def _named(wish: Wish) -> Version:
    from cch.runtime.choosing import Chooser  # noqa: PLC0415
    from cch.runtime.platform import open_platform  # noqa: PLC0415 - loads what talks to AWS

    async with open_platform() as platform:
        chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
        definition = await chooser.named(await platform.ledger.versions.shelf(wish.dag_id), wish.name)
        await asyncio.to_thread(platform.catalogue.keep, definition)  # a track that nobody has started yet
    return Version(definition.digest)


def compiled(wish: Wish, settings: Settings) -> tuple[Version, DAG]:
    """The version that is wished for, and its DAG.

    :raises WrongUseError: there is no such version.
    :raises CchError: it cannot be had now.
    """
    # Here: a scheduler needs what reads and compiles definitions only if a run asks for a version that is absent.
    from cch.compiler.dag import compile_workflow  # noqa: PLC0415
    from cch.runtime.definitions import open_catalogue  # noqa: PLC0415

    named = parse_version(wish.name) or asyncio.run(_named(wish))
    try:
        definition = open_catalogue(settings).by_digest(named.digest, wish.dag_id, named.reading_rules or None)
    except DefinitionNotFoundError:
        raise WrongUseError(f"nobody has version {named.digest[:12]} of {wish.dag_id} any more") from None
    if definition.workflow_id != wish.dag_id:
        raise WrongUseError(f"version {named.digest[:12]} is one of {definition.workflow_id}, not of {wish.dag_id}")
    planner = named.planner if named.reading_rules else planner_for(definition, settings.awaited)
    version = Version(named.digest, definition.reading_rules, planner)
    return version, compile_workflow(definition, pinned=True, planner=planner)


def finding(settings: Settings) -> Finding:
    """Finds versions among the definitions of this environment."""

    def find(wish: Wish) -> Version:
        version, dag = compiled(wish, settings)
        store_version(wish.dag_id, version, dag)
        return version

    return find
