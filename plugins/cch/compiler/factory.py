"""All DAGs of the published definitions, for the DAG file. A bad definition, or no S3, harms no other."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Collection, Iterator

from airflow.sdk import DAG, get_parsing_context

from cch.compiler.blueprints import Blueprints
from cch.compiler.dag import dag_of
from cch.compiler.pinned import tested_version, version_of_task
from cch.compiler.placeholders import awaiting_version, placeholder
from cch.definition.catalogue import Catalogue
from cch.definition.entries import Entry, Good
from cch.definition.version import Version
from cch.errors import CchError, Problem
from cch.runtime.definitions import open_catalogue
from cch.scheduling.absent import Wish
from cch.scheduling.pinning import reason_against
from cch.scheduling.wishes import compiled
from cch.settings import load_settings

#: DAG that appears when definitions cannot be read at all.
SOURCE_ERROR_DAG = "cch_definitions_unavailable"
#: How long one parse keeps versions (s); the next one goes on. Airflow gives up a file after 30 s.
_KEEPING = 5.0


class DefinitionWarning(UserWarning):
    """Definitions could not be read, or not in their current version; Airflow shows it with the DAG file."""


def workflow_dags() -> Iterator[DAG]:
    """The DAGs to serve. When Airflow parses the file to execute one task, only that task's definition is read.

    A task of a pinned run gets the version of its run, and if that cannot be had no other: it is tried again.
    """
    context = get_parsing_context()
    version = version_of_task() if context.dag_id and context.task_id else None
    if version is not None:
        yield _version(str(context.dag_id), str(context.task_id), version)
        return
    if (tested := tested_version(sys.argv)) is not None:
        # Nothing else: the command stores what it parses, and an older version must replace no DAG that is served.
        yield compiled(Wish(*tested), load_settings())[1]
        return
    try:
        settings = load_settings()
        catalogue, blueprints = open_catalogue(settings, trusts_courier=True), Blueprints(settings.cache_path)
        # Where Airflow does not keep runs on their versions, a setting must not change what live runs are made of.
        awaited = settings.awaited if settings.calls_in_triggerer and not reason_against() else frozenset()
        if context.dag_id and context.dag_id != SOURCE_ERROR_DAG:
            yield from _one(catalogue, blueprints, context.dag_id, awaited, for_task=bool(context.task_id))
            return
        yield from _all(catalogue, blueprints, awaited)
    except CchError as error:
        yield _unavailable(error)


def _version(dag_id: str, task_id: str, version: Version) -> DAG:
    try:
        settings = load_settings()
        blueprints = Blueprints(settings.cache_path)
        made_of = blueprints.kept(version) if version.reading_rules else None
        if made_of is None or made_of.workflow_id != dag_id:
            catalogue = open_catalogue(settings)
            definition = catalogue.by_digest(version.digest, dag_id, version.reading_rules or None)
            full = Version(definition.digest, definition.reading_rules, version.planner)
            made_of = blueprints.make(definition, full)
        return dag_of(made_of, for_task=True)
    except CchError as error:
        return awaiting_version(dag_id, task_id, str(error))


def _one(
    catalogue: Catalogue, blueprints: Blueprints, dag_id: str, awaited: Collection[str], *, for_task: bool
) -> Iterator[DAG]:
    try:
        yield dag_of(blueprints.served(Good.of(catalogue.current(dag_id)), awaited), for_task=for_task)
    except CchError:
        # Perhaps a placeholder, or a file whose name nobody indexed yet: look at all of them.
        yield from (dag for dag in _all(catalogue, blueprints, awaited) if dag.dag_id == dag_id)


def _all(catalogue: Catalogue, blueprints: Blueprints, awaited: Collection[str]) -> Iterator[DAG]:
    snapshot = catalogue.snapshot()
    if snapshot.outage:
        warnings.warn(f"definitions come from the cache: {snapshot.outage}", DefinitionWarning, stacklevel=2)
        if not snapshot.entries:
            yield placeholder(
                SOURCE_ERROR_DAG, "No definitions can be read", (Problem(code="CCH-X002", message=snapshot.outage),)
            )
    pinned = not reason_against()
    keeps, until = not snapshot.outage, time.monotonic() + _KEEPING
    for entry in snapshot.entries:
        if entry.good is not None and keeps:
            keeps = _keep(catalogue, entry.good) and time.monotonic() < until
        yield _dag(entry, blueprints, awaited, pinned=pinned)


def _keep(catalogue: Catalogue, good: Good) -> bool:
    """Keep what is served: it may be overwritten by an upload before any instance of it begins."""
    try:
        catalogue.keep(good)
    except (CchError, OSError) as error:
        message = f"{good.workflow_id} is served, and this version of it could not be kept: {error}"
        warnings.warn(message, DefinitionWarning, stacklevel=2)
        return False
    return True


def _dag(entry: Entry, blueprints: Blueprints, awaited: Collection[str], *, pinned: bool) -> DAG:
    if entry.good is None:
        for problem in entry.problems:
            warnings.warn(str(problem), DefinitionWarning, stacklevel=2)
        return placeholder(entry.workflow_id, f"{entry.file} cannot be used", entry.problems)
    try:
        return dag_of(blueprints.served(entry.good, awaited), problems=entry.problems, pinned=pinned)
    except Exception as error:  # noqa: BLE001 - whatever one definition does, the others are served
        message = f"cannot be compiled: {type(error).__name__}: {error}"
        problem = Problem(code="CCH-G900", message=message, hint="please report this", file=entry.file)
        return placeholder(entry.workflow_id, f"{entry.file} cannot be compiled", (problem,))


def _unavailable(error: CchError) -> DAG:
    warnings.warn(str(error), DefinitionWarning, stacklevel=2)
    problem = Problem(code=error.code, message=str(error))
    return placeholder(SOURCE_ERROR_DAG, "No definitions can be read", (problem,))
