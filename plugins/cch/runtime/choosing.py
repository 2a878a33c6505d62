"""Which version a start gets: the one that it names, else by its business key, else the one that is published."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cch.definition.catalogue import Catalogue
from cch.definition.model import Definition
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
    """The definition that a start is to run, and what was known of the workflow's versions."""

    definition: Definition
    shelf: Shelf


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
        published: Definition | None = await asyncio.to_thread(self.catalogue.named, uri) if uri else None
        workflow_id = published.workflow_id if published else workflow_id
        shelf = await self.versions.shelf(workflow_id)
        if name:
            definition = await self.named(shelf, name)
        elif (share := shelf.share) is not None and in_share(workflow_id, share.digest, key, share.percent):
            definition = await asyncio.to_thread(self.catalogue.by_digest, share.digest, workflow_id)
        elif published is not None:
            definition = published
        else:
            definition = await asyncio.to_thread(self.catalogue.current, workflow_id)
        return Choice(definition, shelf)

    async def settle(self, choice: Choice) -> None:
        """Keep the version for the instance that will run it, and give it a number.

        The file that is published may be overwritten at any time.
        """
        await asyncio.to_thread(self.catalogue.keep, choice.definition)
        if choice.shelf.known(choice.definition.digest) is None:
            await self.versions.add(choice.shelf, choice.definition.digest, self.clock())

    async def named(self, shelf: Shelf, name: str) -> Definition:
        """The definition of the version that people call ``name``.

        :raises WrongUseError: no version is called so.
        """
        whole = parse_version(name)
        digest = whole.digest if whole is not None else shelf.named(name).digest
        try:
            found = await asyncio.to_thread(self.catalogue.by_digest, digest, shelf.workflow_id)
        except DefinitionNotFoundError:
            raise WrongUseError(f"nobody has version {name} of {shelf.workflow_id} any more") from None
        if found.workflow_id != shelf.workflow_id:
            raise WrongUseError(f"version {name} is one of {found.workflow_id}, not of {shelf.workflow_id}")
        return found
