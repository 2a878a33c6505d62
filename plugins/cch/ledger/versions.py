"""The versions of each workflow: their numbers, labels, and which share of the starts goes to one of them."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from cch.errors import WrongUseError
from cch.ledger.store import NEW, ConditionFailedError, Item, ItemStore

#: Labels begin with a letter, so that no number is one.
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
#: Characters of a digest that name a version, at least.
_SHORTEST_DIGEST = 4
_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_NUMBER, _LABEL, _SHARE, _PUBLISHED = "N#", "L#", "SHARE", "PUBLISHED"
#: Where the dispatcher says whether Airflow keeps runs on their versions.
_PINNING = ("VERSIONS", "PINNING")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersion:
    """One version of a workflow, with the number by which people name it. ``since`` in ms since 1970."""

    number: int
    digest: str
    since: int
    publisher: str = ""
    note: str = ""
    #: File of the track that had it first; "" for the one that a start by the id gets.
    track: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``percent`` of the starts that name no version go to the version with this digest."""

    digest: str
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What is known of the versions of one workflow, by number. ``labels``: name → digest.

    ``published``: a mark that another one replaces each time a file of the workflow has been published; "" if none has.
    """

    workflow_id: str
    versions: Sequence[KnownVersion] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    share: Share | None = None
    published: str = ""

    def known(self, digest: str) -> KnownVersion | None:
        return next((each for each in self.versions if each.digest == digest), None)

    def labels_of(self, digest: str) -> list[str]:
        return sorted(label for label, named in self.labels.items() if named == digest)

    def named(self, name: str) -> KnownVersion:
        """The version that people call ``name``: a number, ``@label`` or a label, or the beginning of a digest.

        :raises WrongUseError: there is none, or the beginning fits several.
        """
        if name.startswith("@"):
            return self._labelled(name[1:])
        if name.isascii() and name.isdecimal():
            for each in self.versions:
                if each.number == int(name[:10]):
                    return each
        if name in self.labels:
            return self._labelled(name)
        if _DIGEST.fullmatch(name):
            return self._beginning(name)
        raise self._unknown(name)

    def _labelled(self, label: str) -> KnownVersion:
        digest = self.labels.get(label)
        if digest is None:
            there = ", ".join(f"@{each}" for each in sorted(self.labels)) or "none"
            raise WrongUseError(f"{self.workflow_id} has no label @{label[:60]}; its labels: {there}")
        found = self.known(digest)
        if found is None:
            raise WrongUseError(f"label @{label} of {self.workflow_id} leads to no version: set it again")
        return found

    def _beginning(self, digest: str) -> KnownVersion:
        found = [each for each in self.versions if each.digest.startswith(digest)]
        if len(found) > 1:
            numbers = ", ".join(str(each.number) for each in found)
            raise WrongUseError(f"{digest} is the beginning of several versions of {self.workflow_id}: {numbers}")
        if not found:
            raise self._unknown(digest)
        return found[0]

    def _unknown(self, name: str) -> WrongUseError:
        newest = f"it has 1 to {self.versions[-1].number}" if self.versions else "none of its versions has begun"
        return WrongUseError(
            f"{self.workflow_id} has no version {name[:80]!r}: {newest}; name a number, @label, or at least"
            f" {_SHORTEST_DIGEST} characters of a digest (`cch versions {self.workflow_id}` lists them)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinning:
    """Whether Airflow keeps runs on their versions, as the dispatcher saw it at ``seen`` (ms since 1970)."""

    pins: bool
    seen: int
    reason: str = ""
    hooks: HookReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReport:
    """What the plugin changes in Airflow, as the dispatcher found out at ``asked`` (ms since 1970).

    ``reasons``: hook → why it is not installed; "" if it is. ``of``: the versions and settings that were asked.
    """

    airflow: str
    of: str
    asked: int
    reasons: Mapping[str, str]


class PublishedMeanwhileError(WrongUseError):
    """Somebody else has published a version of the same workflow in the same moment."""


class Versions:
    """``VERSIONS#<workflow>`` / ``N#<number>``, ``L#<label>``, ``SHARE``, ``PUBLISHED``."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def shelf(self, workflow_id: str) -> Shelf:
        """All that is known of a workflow's versions; one strong query."""
        items = {item["SK"]: item for item in await self._store.query(_partition(workflow_id))}
        share, published = items.get(_SHARE), items.get(_PUBLISHED)
        return Shelf(
            workflow_id=workflow_id,
            versions=tuple(_known(item) for sk, item in sorted(items.items()) if sk.startswith(_NUMBER)),
            labels={sk.removeprefix(_LABEL): item["digest"] for sk, item in items.items() if sk.startswith(_LABEL)},
            share=Share(digest=share["digest"], percent=share["permille"] / 10) if share else None,
            published=published["mark"] if published else "",
        )

    async def add(
        self,
        shelf: Shelf,
        digest: str,
        now: int,
        *,
        publisher: str = "",
        note: str = "",
        track: str = "",
        alone: bool = False,
    ) -> KnownVersion:
        """Give a version the next number, unless it has one. The numbers of all tracks of a workflow are one row.

        ``alone``: nobody else may have added one since the ``shelf`` was read.

        :raises PublishedMeanwhileError: somebody has.
        """
        while True:
            if (there := shelf.known(digest)) is not None:
                return there
            number = shelf.versions[-1].number + 1 if shelf.versions else 1
            new = KnownVersion(number=number, digest=digest, since=now, publisher=publisher, note=note, track=track)
            item: Item = {
                "PK": _partition(shelf.workflow_id), "SK": f"{_NUMBER}{number:08d}", "digest": digest, "since": now,
                "publisher": publisher[:200], "note": note[:1000],
                **({"track": track} if track else {}),
            }  # fmt: skip
            try:
                await self._store.put(item, NEW)
            except ConditionFailedError as failed:
                if failed.item is not None and failed.item["digest"] == digest:
                    return _known(failed.item)
                if alone:
                    raise PublishedMeanwhileError(
                        f"version {number} of {shelf.workflow_id} was published by somebody else in the same moment:"
                        f" look at `cch versions {shelf.workflow_id}`, then publish again if it is still wanted"
                    ) from None
                shelf = await self.shelf(shelf.workflow_id)
                continue
            return new

    async def set_label(self, workflow_id: str, label: str, digest: str) -> None:
        """Let a label lead to a version.

        :raises WrongUseError: nothing can be called so.
        """
        if not LABEL.fullmatch(label):
            raise WrongUseError(
                f"{label[:60]!r} cannot be a label: use at most 40 letters, digits and _ . -, a letter first"
            )
        await self._store.put({"PK": _partition(workflow_id), "SK": f"{_LABEL}{label}", "digest": digest})

    async def remove_label(self, workflow_id: str, label: str) -> None:
        await self._store.delete((_partition(workflow_id), f"{_LABEL}{label}"))

    async def set_share(self, workflow_id: str, share: Share | None) -> None:
        """Divide the starts that name no version; None: all get the version that is published."""
        if share is None:
            await self._store.delete((_partition(workflow_id), _SHARE))
            return
        item = {"digest": share.digest, "permille": round(share.percent * 10)}
        await self._store.put({"PK": _partition(workflow_id), "SK": _SHARE, **item})

    async def has_been_published(self, workflow_id: str) -> None:
        """Let whoever reads the shelf know that what was read of the workflow's files before may be old."""
        await self._store.put({"PK": _partition(workflow_id), "SK": _PUBLISHED, "mark": uuid.uuid4().hex})

    async def report_pinning(self, pinning: Pinning) -> None:
        """Say whether Airflow keeps runs on their versions."""
        pk, sk = _PINNING
        item: Item = {"PK": pk, "SK": sk, "pins": int(pinning.pins), "seen": pinning.seen}
        item["reason"] = pinning.reason[:600]
        if (hooks := pinning.hooks) is not None:
            reasons = {hook: reason[:600] for hook, reason in hooks.reasons.items()}
            item["hooks"] = json.dumps({**asdict(hooks), "reasons": reasons})
        await self._store.put(item)

    async def pinning(self) -> Pinning | None:
        """What was reported last; None: nobody has."""
        item = await self._store.get(_PINNING)
        if item is None:
            return None
        hooks = item.get("hooks")  # absent: reported by a release that did not look
        report = HookReport(**json.loads(hooks)) if hooks else None
        return Pinning(pins=bool(item["pins"]), seen=item["seen"], reason=item.get("reason", ""), hooks=report)


def _partition(workflow_id: str) -> str:
    return f"VERSIONS#{workflow_id}"


def _known(item: Item) -> KnownVersion:
    return KnownVersion(
        number=int(item["SK"].removeprefix(_NUMBER)),
        digest=item["digest"],
        since=item["since"],
        publisher=item.get("publisher", ""),
        note=item.get("note", ""),
        track=item.get("track", ""),
    )
