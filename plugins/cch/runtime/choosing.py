"""Which version a start gets: the one that it names, else by its business key, else the one that is published."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cch.definition.catalogue import Catalogue
from cch.definition.model import Definition
from cch.definition.naming import AmbiguousNameError, Named, by_id, named, track
from cch.definition.version import parse_version
from cch.errors import DefinitionNotFoundError, WrongUseError
from cch.ledger.versions import Shelf, Versions


def in_share(workflow_id: str, digest: str, key: str, percent: float) -> bool:
    """Whether a start with this business key is one of the ``percent`` that get the version with this digest.

    A hash decides, so that a repeated start gets the same version, and a larger share includes a smaller one.
    """
    drawn = hashlib.sha256(f"{workflow_id}\n{digest}\n{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(drawn[:8]) % 100_000 < round(percent * 1000)


@dataclass(frozen=True, slots=True)
class Choice:
    """The definition that a start is to run, and what was known of the workflow's versions.

    ``track``: the file of the track that was named; "" for the one that a start by the id gets.
    """

    definition: Definition
    shelf: Shelf
    track: str = ""


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses versions for starts. ``clock``: ms since 1970."""

    catalogue: Catalogue
    versions: Versions
    clock: Callable[[], int]

    async def choose(self, workflow_id: str, name: str = "", key: str = "", uri: str = "") -> Choice:
        """What a start is to run. Changes nothing.

        ``name``: how the start names the version; "" if it leaves the choice. ``key``: its business key. ``uri``: how
        a message names the workflow, instead of ``workflow_id``.

        :raises WrongUseError: no version is called so.
        :raises CchError: what :meth:`Catalogue.current` and :meth:`Catalogue.by_digest` raise.
        """
        found: Named | None = await asyncio.to_thread(self._named, uri, workflow_id, name) if uri else None
        workflow_id = found.definition.workflow_id if found else workflow_id
        shelf = await self.versions.shelf(workflow_id)
        if self.catalogue.hear_of(workflow_id, shelf.published) and found is not None:
            found = await asyncio.to_thread(self._named, uri, workflow_id, name)
        if name:
            return Choice(await self.named(shelf, name), shelf)
        if found is not None and found.track:
            return Choice(found.definition, shelf, found.track)
        if (share := shelf.share) is not None and in_share(workflow_id, share.digest, key, share.percent):
            definition = await asyncio.to_thread(self.catalogue.by_digest, share.digest, workflow_id)
        elif found is not None:
            definition = found.definition
        else:
            definition = await asyncio.to_thread(by_id, self.catalogue, workflow_id)
        return Choice(definition, shelf)

    def _named(self, uri: str, workflow_id: str, name: str) -> Named:
        try:
            return named(self.catalogue, uri)
        except AmbiguousNameError:
            if not name:
                raise
            return Named(self.catalogue.current(workflow_id))  # the version says which

    async def settle(self, choice: Choice) -> None:
        """Keep the version for the instance that will run it, and give it a number.

        The file that is published may be overwritten at any time.
        """
        await asyncio.to_thread(self.catalogue.keep, choice.definition)
        if choice.shelf.known(choice.definition.digest) is None:
            await self.versions.add(choice.shelf, choice.definition.digest, self.clock(), track=choice.track)

    async def named(self, shelf: Shelf, name: str) -> Definition:
        """The definition of the version that people call ``name``, which may be the newest one of a track.

        :raises WrongUseError: no version is called so.
        :raises AmbiguousNameError: several tracks are.
        """
        whole = parse_version(name)
        try:
            digest = whole.digest if whole is not None else shelf.named(name).digest
        except WrongUseError:
            newest = await asyncio.to_thread(track, self.catalogue, shelf.workflow_id, name.removeprefix("@"))
            if newest is None:
                raise
            return newest
        try:
            found = await asyncio.to_thread(self.catalogue.by_digest, digest, shelf.workflow_id)
        except DefinitionNotFoundError:
            raise WrongUseError(f"nobody has version {name} of {shelf.workflow_id} any more") from None
        if found.workflow_id != shelf.workflow_id:
            raise WrongUseError(f"version {name} is one of {found.workflow_id}, not of {shelf.workflow_id}")
        return found
