"""``cch publish``: definitions to where Airflow reads them, without pulling the ground from under running work."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cch.cli.output import complain, note, print_json, problem_data, show_problems
from cch.cli.places import alias_of, file_text, place_of, published_text, refuse_alias_as_id, served_catalogue, track_of
from cch.cli.published import Action, Published, published_data, show_alive, show_change, show_published
from cch.cli.validation import check_paths
from cch.counting import counted
from cch.definition.addresses import alias_key, alias_text
from cch.definition.contract_pins import without_pins
from cch.definition.source import BY_DIGEST, DefinitionSource
from cch.errors import DefinitionNotFoundError, ServiceUnavailableError, WrongUseError
from cch.graph.checks import check
from cch.graph.differences import difference
from cch.graph.plan import plan_of
from cch.ledger.versions import Share
from cch.runtime.definitions import definition_source
from cch.runtime.platform import open_platform
from cch.runtime.serving import unserved
from cch.runtime.standings import Standings, standings, unpinned_reason
from cch.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cch.cli.validation import Checked
    from cch.definition.contract import Contract
    from cch.definition.contract_shelf import ContractShelf
    from cch.definition.model import Definition
    from cch.errors import Problem
    from cch.ledger.ledger import Ledger
    from cch.ledger.records import Instance
    from cch.runtime.platform import Platform

#: Most live instances of one workflow that are looked at; more are refused just as well.
_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to publish. ``share``: percent of the starts that get the version; None: all, as the one that is published.

    ``note`` is what the publisher says of the versions.
    """

    force: bool = False
    share: float | None = None
    note: str = ""
    #: Another name under which messages may start the only one; "": its file's.
    alias: str = ""
    #: Whether each file is a track of its own, under its own name.
    tracks: bool = False


def structure_of(definition: Definition) -> str:
    return plan_of(definition).structure_digest


async def alive_elsewhere(ledger: Ledger, workflow_id: str, structure: str) -> tuple[Instance, ...]:
    """Instances that have not ended and are not bound to ``structure``, newest first."""
    # The index sorts by status, running and pending before the ended ones.
    listed = await ledger.instances.by_workflow(workflow_id, limit=_MOST)
    live = [i for i in listed if i.status in ("pending", "running") and i.structure_digest != structure]
    return tuple(sorted(live, key=lambda instance: -instance.started))


def _keep(source: DefinitionSource, definition: Definition) -> None:
    """Keep the version under its digest, for the instances that will run it."""
    name = f"{BY_DIGEST}{definition.digest}.yaml"
    try:
        source.read(name)
    except DefinitionNotFoundError:
        source.write(name, definition.text)


async def _publish_one(platform: Platform, file: str, definition: Definition, wish: Wish) -> Published:
    """Publish one definition: keep it, number it, and only then let it be served, so that any step may be the last."""
    settings, ledger = platform.settings, platform.ledger
    refuse_alias_as_id(settings, definition.workflow_id)
    track = track_of(settings, file, definition, wanted=wish.tracks)
    if track and (wish.alias or wish.share is not None):
        raise WrongUseError(
            f"{file} is a track of {definition.workflow_id}: --as and --share are for what its id names"
        )
    alias = "" if track else alias_of(settings, file, definition, wish.alias)
    source = definition_source(settings)
    name, old = (track, file_text(source, track)) if track else place_of(settings, definition.workflow_id)
    before = check(old)[0] if old is not None else None
    structure = structure_of(definition)
    action: Action = "created" if old is None else "unchanged" if old == definition.text else "updated"
    alive: tuple[Instance, ...] = ()
    unpinned = ""
    if wish.share is not None:
        if old is None:
            raise WrongUseError(
                f"{definition.workflow_id} is not published yet: a share needs a version for the others"
            )
        unpinned = unpinned_reason(await ledger.versions.pinning(), platform.clock())
        action = "refused" if unpinned else "unchanged" if action == "unchanged" else "shared"
    elif action == "updated" and (structure_of(before) if before else "") != structure:
        alive = await alive_elsewhere(ledger, definition.workflow_id, structure)
        if alive:
            unpinned = unpinned_reason(await ledger.versions.pinning(), platform.clock())
        if unpinned and not wish.force:
            action = "refused"
    number = None
    if action != "refused":
        _keep(source, definition)
        if before is not None:
            _keep(source, before)  # it may have been put there by other means
        number = await _number(platform, definition, before if action != "created" else None, wish, track)
    if action in ("created", "updated"):
        await serve(platform, source, name, definition.workflow_id, definition.text)
    if action == "shared" and wish.share is not None:
        await ledger.versions.set_share(definition.workflow_id, Share(digest=definition.digest, percent=wish.share))
    elif action != "refused" and number is not None and not track:
        await ledger.versions.set_share(definition.workflow_id, None)
    if alias and action != "refused" and served_catalogue(settings).alias(alias) != definition.workflow_id:
        source.write(alias_key(alias), alias_text(definition.workflow_id))
    return Published(
        file=file, definition=definition, structure=structure, action=action, alive=alive, name=name, alias=alias,
        track=track, unpinned=unpinned, number=number, difference=difference(before, definition) if before else None,
        stays=await _stays(platform, definition.workflow_id) if action in ("updated", "shared") else None,
    )  # fmt: skip


async def _stays(platform: Platform, workflow_id: str) -> Standings | None:
    try:
        return await standings(platform, workflow_id)
    except ServiceUnavailableError:
        return None


async def serve(platform: Platform, source: DefinitionSource, name: str, workflow_id: str, text: str) -> None:
    """Write the file; the next start gets it, wherever an older text was read a moment ago."""
    source.write(name, text)
    try:
        await platform.ledger.versions.has_been_published(workflow_id)
    except ServiceUnavailableError as error:
        seconds = f"{platform.settings.refresh_seconds:g} s"
        note(f"starts of {workflow_id} may get the version before for up to {seconds}: {error}")


async def _number(
    platform: Platform, definition: Definition, before: Definition | None, wish: Wish, track: str
) -> int | None:
    """The number of the version; what was published before, perhaps by other means, has one too."""
    versions, now = platform.ledger.versions, platform.clock()
    try:
        shelf = await versions.shelf(definition.workflow_id)
        if before is not None and shelf.known(before.digest) is None:
            await versions.add(shelf, before.digest, now, track=track, alone=True)
            shelf = await versions.shelf(definition.workflow_id)
        added = await versions.add(
            shelf, definition.digest, now, publisher=_publisher(), note=wish.note, track=track, alone=True
        )
    except ServiceUnavailableError as error:
        note(f"the version of {definition.workflow_id} gets its number with its first start: {error}")
        return None
    return added.number


def _publisher() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return ""


async def _unserved(checked: Checked) -> list[Problem]:
    """Warnings about capabilities that nobody serves; none if AWS cannot be asked."""
    try:
        async with open_platform() as platform:
            each = [
                await unserved(definition, file, platform.settings, platform.queues)
                for file, definition in checked.definitions.items()
            ]
    except ServiceUnavailableError as error:
        note(f"whether capabilities have queues is not known: {error}")
        return []
    return [problem for problems in each for problem in problems]


def _without_findings_of_the_served(checked: Checked, source: DefinitionSource) -> Checked:
    """What is published already as it stands goes on: its findings are said, and keep nothing else from publication."""
    twins = {problem.file for problem in checked.problems if problem.code == "CCH-G007"}
    failed = {problem.file for problem in checked.problems if problem.severity == "error"} - twins
    served: dict[str, Definition] = {}
    for file in sorted(failed & checked.texts.keys()):
        definition, _ = check(checked.texts[file], file)
        if definition is None:
            continue
        published = published_text(source, definition.workflow_id)
        if published is not None and without_pins(published) == without_pins(checked.texts[file]):
            served[file] = definition.held_to(checked.contracts.by_id)
    problems = tuple(replace(p, severity="warning") if p.file in served else p for p in checked.problems)
    return replace(checked, definitions={**checked.definitions, **served}, problems=problems)


def _refuse_all(checked: Checked, *, as_json: bool) -> None:
    if as_json:
        problems = [problem_data(problem) for problem in checked.problems]
        print_json({"ok": False, "definitions": [], "problems": problems})
    else:
        show_problems(checked.problems, checked.shown)
        complain(
            f"nothing is published: {counted(checked.count('error'), 'error has', 'errors have')} to be mended first"
        )
    raise typer.Exit(1)


async def _publish_all(checked: Checked, wish: Wish, contracts: ContractShelf) -> list[Published]:
    """Publish all; contracts are kept before a definition names them, and are the newest ones after that."""
    async with open_platform() as platform:
        contracts.keep(checked.contracts.by_id.values())
        done = [
            await _publish_one(platform, file, definition.pinned(), wish)
            for file, definition in checked.definitions.items()
        ]
        contracts.publish(checked.contracts.by_id.values())
        return done


def _newest(contracts: ContractShelf) -> Mapping[str, Contract]:
    """The contracts that are published; none in a folder or bucket that is not there yet."""
    try:
        return contracts.newest()
    except ServiceUnavailableError:
        return {}


def publish(paths: Sequence[Path], wish: Wish, *, as_json: bool) -> None:
    """Check all, publish all; leave with 1 if anything was refused."""
    settings = load_settings()
    contracts = served_catalogue(settings).contracts
    checked = check_paths(paths, tracks=wish.tracks, published=_newest(contracts))
    if wish.alias and len(checked.files) != 1:
        raise WrongUseError(f"--as names one definition, and there are {len(checked.files)}")
    source = definition_source(settings)
    if checked.count("error"):
        checked = _without_findings_of_the_served(checked, source)
    if checked.count("error"):
        _refuse_all(checked, as_json=as_json)
    done = asyncio.run(_publish_all(checked, wish, contracts))
    checked = replace(checked, problems=(*checked.problems, *asyncio.run(_unserved(checked))))
    ok = all(one.action != "refused" for one in done)
    if as_json:
        problems = [problem_data(problem) for problem in checked.problems]
        published = {each.id: each.digest for each in checked.contracts.by_id.values()}
        definitions = [published_data(one) for one in done]
        print_json({"ok": ok, "definitions": definitions, "contracts": published, "problems": problems})
    else:
        show_problems(checked.problems, checked.shown)
        show_published(done, source.describe())
        if number := len(checked.contracts.by_id):
            note(f"{counted(number, 'contract is', 'contracts are')} published with them")
        for one in done:
            if one.track and one.action != "refused":
                note(f"{one.name} is a track of {one.definition.workflow_id}: a start by that name gets it")
            elif one.action == "updated" and one.name != f"{one.definition.workflow_id}.yaml":
                note(f"{one.definition.workflow_id} was published as {one.name}, which has been replaced")
            show_change(one)
            if one.alias and one.action != "refused":
                note(f"messages may also start {one.definition.workflow_id} as {one.alias}")
            if one.alive:
                show_alive(one)
            if one.action == "refused" and wish.share is not None:
                complain(f"{one.definition.workflow_id} gets no share of the starts: {one.unpinned}")
    if not ok:
        raise typer.Exit(1)
