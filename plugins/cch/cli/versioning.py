"""``cch versions``, ``label`` and ``rollback``: which versions there are, and which one new starts get."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cch.cli.output import note, print_json, say, show
from cch.cli.places import published_place
from cch.cli.publication import alive_elsewhere, serve, structure_of
from cch.cli.version_views import standing_data, standings_table
from cch.definition.source import BY_DIGEST, NotModified
from cch.errors import DefinitionNotFoundError, WrongUseError
from cch.graph.checks import check
from cch.runtime.definitions import definition_source
from cch.runtime.platform import open_platform
from cch.runtime.standings import MOST_COUNTED, standings, unpinned_reason

if TYPE_CHECKING:
    from cch.ledger.versions import KnownVersion, Shelf
    from cch.runtime.platform import Platform


async def _versions(workflow_id: str, *, as_json: bool) -> None:
    async with open_platform() as platform:
        found = await standings(platform, workflow_id)
    if not found.versions:
        raise WrongUseError(
            f"there is no workflow {workflow_id!r}: it is not published, and no instance of it is known"
        )
    if as_json:
        print_json({"workflow_id": workflow_id, "versions": [standing_data(each) for each in found.versions]})
        return
    show(standings_table(workflow_id, found))
    if not found.complete:
        note(f"the first {MOST_COUNTED} instances were counted, the live ones before the others")


def versions(workflow_id: str, *, as_json: bool) -> None:
    """List the versions of a workflow with who runs them."""
    asyncio.run(_versions(workflow_id, as_json=as_json))


async def _shelf(platform: Platform, workflow_id: str) -> Shelf:
    shelf = await platform.ledger.versions.shelf(workflow_id)
    if not shelf.versions:
        raise WrongUseError(f"no version of {workflow_id!r} is known: publish it first, or check the id")
    return shelf


async def _label(workflow_id: str, label: str, version: str, *, remove: bool) -> None:
    label = label.removeprefix("@")
    async with open_platform() as platform:
        shelf = await _shelf(platform, workflow_id)
        if remove:
            if label not in shelf.labels:
                raise WrongUseError(f"{workflow_id} has no label @{label}")
            await platform.ledger.versions.remove_label(workflow_id, label)
            say(f"{workflow_id} has no label @{label} any more")
            return
        if not version:
            raise WrongUseError("name the version that the label is to lead to, or --remove the label")
        named = shelf.named(version)
        await platform.ledger.versions.set_label(workflow_id, label, named.digest)
        say(f"{workflow_id}@{label} is version {named.number} ({named.digest[:12]})")


def label(workflow_id: str, label: str, version: str, *, remove: bool) -> None:
    """Let a label lead to a version, or take it away."""
    asyncio.run(_label(workflow_id, label, version, remove=remove))


def _before(shelf: Shelf, digest: str) -> KnownVersion:
    """The version before the one with this digest."""
    current = shelf.known(digest)
    track = current.track if current else ""
    earlier = [v for v in shelf.versions if v.track == track and (current is None or v.number < current.number)]
    if not earlier:
        raise WrongUseError(f"there is no version of {shelf.workflow_id} before the one that is published")
    return earlier[-1]


async def _refuse_to_harm(platform: Platform, workflow_id: str, text: str) -> None:
    """:raises WrongUseError: live instances run other tasks, and would not keep their version."""
    definition, problems = check(text)
    if definition is None:
        raise WrongUseError(f"that version of {workflow_id} cannot be read by this release: {problems[0]}")
    if not (alive := await alive_elsewhere(platform.ledger, workflow_id, structure_of(definition))):
        return
    if unpinned := unpinned_reason(await platform.ledger.versions.pinning(), platform.clock()):
        raise WrongUseError(f"{len(alive)} live instances of {workflow_id} run other tasks, and {unpinned}")


async def _rollback(workflow_id: str, to: str) -> None:
    async with open_platform() as platform:
        shelf = await _shelf(platform, workflow_id)
        if shelf.share is not None and not to:
            await platform.ledger.versions.set_share(workflow_id, None)
            say(f"no more starts of {workflow_id} get the version that had {shelf.share.percent:g} % of them")
            return
        source = definition_source(platform.settings)
        name, text, digest = published_place(platform.settings, workflow_id)
        target = shelf.named(to) if to else _before(shelf, digest)
        if target.digest == digest:
            say(f"version {target.number} of {workflow_id} is published already")
            return
        try:
            kept = source.read(f"{BY_DIGEST}{target.digest}.yaml")
        except DefinitionNotFoundError:
            raise WrongUseError(f"nobody has version {target.number} of {workflow_id} any more") from None
        assert not isinstance(kept, NotModified)
        await _refuse_to_harm(platform, workflow_id, kept.text)
        await serve(platform, source, name, workflow_id, kept.text)
        await platform.ledger.versions.set_share(workflow_id, None)
        was = shelf.known(digest)
        before = f" instead of version {was.number}" if was else " instead of what was there" if text else ""
        say(f"version {target.number} of {workflow_id} is published{before}; live instances keep their versions")


def rollback(workflow_id: str, to: str) -> None:
    """End a share, or publish the version before (or another) again."""
    asyncio.run(_rollback(workflow_id, to))
