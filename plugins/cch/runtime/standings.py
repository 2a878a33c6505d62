"""Which versions of a workflow there are, and who runs them: for people who publish and operate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cch.errors import DefinitionError, DefinitionNotFoundError
from cch.ledger.records import ENDED, Instance
from cch.ledger.versions import KnownVersion, Pinning, Shelf

if TYPE_CHECKING:
    from cch.runtime.platform import Platform

#: Instances of one workflow that are counted; the live ones come first.
MOST_COUNTED = 5000
#: Live instances of one version, the oldest, whose waits are looked at.
_LOOKED_AT = 100
#: A report of the dispatcher counts so long (ms); it makes one every minute.
_REPORTED = 600_000
#: Waits of one instance that are looked at.
_WAITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One version and the instances that run it, of those that were counted. Times in ms since 1970, 0 for none.

    ``version`` is None if the version has no number: instances of an earlier release run it.
    ``nodes``: what its oldest live instances wait at, and how many do.
    """

    digest: str
    version: KnownVersion | None = None
    labels: Sequence[str] = ()
    current: bool = False
    share: float = 0.0
    live: int = 0
    ended: int = 0
    oldest: int = 0
    nodes: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How people call it, as short as it goes."""
        return str(self.version.number) if self.version else self.digest[:12] or "not chosen yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """All versions of one workflow, the newest first. ``complete``: every instance was counted."""

    shelf: Shelf
    versions: Sequence[Standing]
    complete: bool


def unpinned_reason(reported: Pinning | None, now: int) -> str:
    """Why live instances may not keep their version; "" if they do. ``now`` in ms since 1970."""
    if reported is None or now - reported.seen > _REPORTED:
        return "nobody has reported lately that runs keep their versions (is the DAG cch_commands unpaused?)"
    return "" if reported.pins else reported.reason or "this Airflow does not keep runs on their versions"


async def standings(platform: Platform, workflow_id: str) -> Standings:
    """Look at all versions of a workflow.

    :raises ServiceUnavailableError: the ledger or the source of definitions does not answer.
    """
    shelf, counted = await asyncio.gather(
        platform.ledger.versions.shelf(workflow_id),
        platform.ledger.instances.by_workflow(workflow_id, limit=MOST_COUNTED),
    )
    current = await asyncio.to_thread(_current, platform, workflow_id)
    by_digest: dict[str, list[Instance]] = {}
    for instance in counted:
        by_digest.setdefault(instance.definition_digest, []).append(instance)
    known = [version.digest for version in reversed(shelf.versions)]
    others = [digest for digest in dict.fromkeys((current, *by_digest)) if digest not in known]
    digests = [*(digest for digest in others if digest or digest in by_digest), *known]
    found = await asyncio.gather(
        *(_standing(platform, shelf, digest, current, by_digest.get(digest, [])) for digest in digests)
    )
    return Standings(shelf=shelf, versions=found, complete=len(counted) < MOST_COUNTED)


def _current(platform: Platform, workflow_id: str) -> str:
    """The digest of what is published, or "" if nothing is."""
    try:
        return platform.catalogue.current(workflow_id).digest
    except (DefinitionError, DefinitionNotFoundError):
        return ""


async def _standing(
    platform: Platform, shelf: Shelf, digest: str, current: str, instances: Sequence[Instance]
) -> Standing:
    live = sorted((each for each in instances if each.status not in ENDED), key=lambda each: each.started)
    waits = await asyncio.gather(
        *(platform.ledger.waiting.of_instance(instance.id, _WAITS) for instance in live[:_LOOKED_AT])
    )
    nodes = Counter(node for each in waits for node in {wait.node for wait in each})
    share = shelf.share
    return Standing(
        digest=digest,
        version=shelf.known(digest),
        labels=shelf.labels_of(digest),
        current=bool(digest) and digest == current,
        share=share.percent if share is not None and share.digest == digest else 0.0,
        live=len(live),
        ended=len(instances) - len(live),
        oldest=live[0].started if live else 0,
        nodes=dict(nodes.most_common()),
    )
