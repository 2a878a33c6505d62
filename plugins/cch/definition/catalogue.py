"""All definitions, cached on disk: survives an outage of the source, and reads one without looking at the others.

The cache is written by many processes at once; every file is put in place whole, and all of it can be lost.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cch import __version__
from cch.definition.addresses import alias_key, aliased, is_key
from cch.definition.contract_shelf import ContractShelf
from cch.definition.entries import Entry, Good, safe_name, served_entries, stem_of
from cch.definition.files import read_file, read_json, try_to_write_file, write_file
from cch.definition.model import Definition
from cch.definition.names import OWN_DAGS
from cch.definition.reader import digest_of, read_by, read_checked
from cch.definition.source import BY_DIGEST, DefinitionSource, NotModified
from cch.errors import CchError, DefinitionError, DefinitionNotFoundError, Problem, ServiceUnavailableError

log = logging.getLogger(__name__)

Check = Callable[[str, str], tuple[Definition | None, tuple[Problem, ...]]]


#: The listing of whoever asked last, and the courier's.
_LISTING, _BROUGHT = "listing.json", "brought.json"
#: Verdicts of other versions do not count: their checks were others.
_GOOD = f"good-{__version__}"
#: Names that files of definitions may have, in bytes well below what file systems and S3 take.
_NAME = re.compile(r"[^\x00-\x1f/\\]{1,60}")


def is_name(text: str) -> bool:
    """Whether a file of definitions, or an alias, may be called so."""
    return bool(_NAME.fullmatch(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All entries; ``outage`` says why they may be old."""

    entries: tuple[Entry, ...]
    outage: str = ""


def _good(verdict: str, text: str, file: str, digest: str) -> Good:
    """A text that was found good; the verdict is the number of the rules by which it is, and its workflow."""
    rules, _, workflow_id = verdict.partition(" ")
    if rules.isdecimal() and workflow_id:
        return Good(workflow_id, int(rules), text, file, digest)
    return Good.of(read_by(int(rules), text, file) if rules.isdecimal() else read_checked(text, file))


def _verdict(good: Good) -> str:
    return f"{good.rules} {good.workflow_id}"


class Catalogue:
    """Reads ``source`` through the cache folder.

    ``check`` tells whether a text is a good definition (schema and graph); it is passed in because the graph's
    layer lies above this one. ``refresh_seconds``: how long a listing, or one file's stamp, is trusted.
    ``buckets``: others whose file names mean the same here. ``trusts_courier``: a listing that a courier has brought
    counts for as long as the courier says, so that the source need not be asked here.
    """

    def __init__(
        self,
        source: DefinitionSource,
        cache: Path,
        check: Check,
        refresh_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
        *,
        buckets: Collection[str] = (),
        trusts_courier: bool = False,
    ) -> None:
        self._source = source
        self._cache = cache
        self._check = check
        self._refresh = refresh_seconds
        self._clock = clock
        self._buckets = frozenset(buckets)
        self._trusts_courier = trusts_courier
        #: The contracts that are kept beside the definitions.
        self.contracts = ContractShelf(source, cache, refresh_seconds, clock)
        #: The files of a listing, and their tracks by workflow.
        self._tracks: tuple[tuple[tuple[str, str], ...], Mapping[str, tuple[str, ...]]] = ((), {})
        #: What was read by then counts no more, without asking the source (s since 1970); the marks that said so.
        self._outdated_until = 0.0
        self._marks: dict[str, str] = {}

    def hear_of(self, workflow_id: str, published: str) -> bool:
        """Whether a mark of a publication is new here: what was read before is compared first."""
        if not published or self._marks.get(workflow_id) == published:
            return False
        self._marks[workflow_id] = published
        self._outdated_until = self._clock()
        return True

    # --- one definition --------------------------------------------------------------------------------------

    def current(self, workflow_id: str) -> Definition:
        """The definition of one workflow; looks at no other file.

        :raises DefinitionNotFoundError: there is none.
        :raises DefinitionError: the only version there is cannot be used.
        :raises ServiceUnavailableError: the source does not answer and the cache has nothing.
        """
        if not _NAME.fullmatch(workflow_id):  # never asked of a source: it comes from messages, and becomes a path
            raise DefinitionNotFoundError(f"there is no definition of {workflow_id[:60]!r}: no workflow is called so")
        files = [f"{workflow_id}.yaml", f"{workflow_id}.yml"]
        if indexed := self._indexed(workflow_id):
            files.insert(0, indexed)
        for file in dict.fromkeys(files):
            try:
                text = self._text(file)
            except DefinitionNotFoundError:
                continue
            entry = self._entry(file, text)
            if entry.workflow_id != workflow_id:
                continue
            if entry.good is not None and workflow_id not in OWN_DAGS:
                return entry.good.definition
        entries = [entry for entry in self.snapshot().entries if entry.workflow_id == workflow_id]
        for entry in entries:
            if entry.good is not None:
                return entry.good.definition
            raise DefinitionError(entry.problems)
        raise DefinitionNotFoundError(f"there is no definition of {workflow_id!r} in {self._source.describe()}")

    def file(self, key: str) -> Entry | None:
        """What is in one file of the source, good or not; None: there is no such file.

        :raises ServiceUnavailableError: the source does not answer and the cache has nothing.
        """
        try:
            return self._entry(key, self._text(key))
        except DefinitionNotFoundError:
            return None

    def files(self) -> tuple[str, ...]:
        """The names of all files, good or not, from the cache where the source does not answer."""
        return tuple(sorted(self._listed()))

    def tracks(self, workflow_id: str) -> tuple[str, ...]:
        """The good files that have this ``workflow_id``, the served one first."""
        stamps = tuple(sorted(self._listed().items()))
        if stamps != self._tracks[0]:
            served = self.snapshot().entries
            self._tracks = stamps, {entry.workflow_id: entry.tracks for entry in served if entry.good is not None}
        return self._tracks[1].get(workflow_id, ())

    @property
    def place(self) -> str:
        """How people call the source: ``s3://bucket``, or a folder."""
        return self._source.describe()

    @property
    def buckets(self) -> frozenset[str]:
        """Other buckets whose file names mean the same here."""
        return self._buckets

    def alias(self, name: str) -> str:
        """The workflow that an alias names; "" if there is no such alias.

        :raises ServiceUnavailableError: the source does not answer and the cache has nothing.
        """
        if not _NAME.fullmatch(name):
            return ""
        try:
            return aliased(self._text(alias_key(name)))
        except DefinitionNotFoundError:
            return ""

    def published(self, file: str) -> str:
        """The text of a file of the source, good or not.

        :raises DefinitionNotFoundError: there is no such file.
        :raises ServiceUnavailableError: the source does not answer and the cache has nothing.
        """
        return self._text(file)

    def by_digest(self, digest: str, workflow_id: str = "", rules: int | None = None) -> Definition:
        """A version that was published, for an instance that runs it.

        ``rules``: the number of those by which the instance reads it; None: as the version would be served now.

        :raises DefinitionNotFoundError: it is neither cached nor kept.
        """
        cached = read_file(self._cache / "by-digest" / digest)
        if cached is None or digest_of(cached) != digest:
            try:
                answer = self._source.read(f"{BY_DIGEST}{digest}.yaml")
                assert not isinstance(answer, NotModified)
                cached = answer.text
                self._require_digest(cached, digest)
            except DefinitionNotFoundError:
                if workflow_id and (current := self.current(workflow_id)).digest == digest:
                    return current if rules is None else read_by(rules, current.text, current.file)
                raise
            try_to_write_file(self._cache / "by-digest" / digest, cached)
        file = f"{workflow_id or digest[:12]}.yaml"
        return read_checked(cached, file) if rules is None else read_by(rules, cached, file)

    def _require_digest(self, text: str, digest: str) -> None:
        """:raises DefinitionNotFoundError: somebody has changed what is kept, and it is no version of any instance."""
        if digest_of(text) != digest:
            name = f"{BY_DIGEST}{digest}.yaml"
            raise DefinitionNotFoundError(f"{name} in {self.place} was changed, and is not that version any more")

    def keep(self, definition: Definition | Good) -> None:
        """Keep a version for the instances that run it, beyond its next publication."""
        path = self._cache / "by-digest" / definition.digest
        marker = self._cache / "kept" / definition.digest
        if read_file(path) is None:
            try_to_write_file(path, definition.text)
        if read_file(marker) != self.place:  # where it was kept
            self._source.write(f"{BY_DIGEST}{definition.digest}.yaml", definition.text)
            try_to_write_file(marker, self.place)

    def uri(self, workflow_id: str) -> str:
        """What messages call the definition."""
        return f"{self._source.describe()}/{workflow_id}.yaml"

    # --- all definitions -------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Every definition, from the cache where the source does not answer."""
        try:
            stamps, outage = self._stamps(), ""
        except ServiceUnavailableError as error:
            stamps, outage = self._cached_stamps(), str(error)
        entries: list[Entry] = []
        for file, stamp in sorted(stamps.items()):
            try:
                entries.append(self._entry(file, self._text(file, stamp, asks=not outage)))
            except CchError as error:
                problem = Problem(code=error.code, message=str(error), file=file)
                entries.append(Entry(file=file, workflow_id=stem_of(file), good=None, problems=(problem,)))
        served = served_entries(entries, {entry.workflow_id: self._indexed(entry.workflow_id) for entry in entries})
        for entry in served:
            if entry.good is not None:
                self._remember({self._cache / "index" / safe_name(entry.workflow_id): entry.file})
        return Snapshot(entries=served, outage=outage)

    def _indexed(self, workflow_id: str) -> str:
        """The file that served the workflow before; "" if this cache knows none."""
        file = read_file(self._cache / "index" / safe_name(workflow_id)) or ""
        return file if is_key(file) else ""  # "": it was damaged

    def stamps(self) -> dict[str, str]:
        """The files with their stamps, as the source has them now.

        :raises ServiceUnavailableError: it does not answer.
        """
        return self._source.stamps()

    def _stamps(self) -> dict[str, str]:
        path = self._cache / _LISTING
        listing = read_json(path, "at", "stamps")
        if listing and self._is_recent(listing["at"]):
            known: dict[str, str] = listing["stamps"]
            return known
        if self._trusts_courier and (brought := self.brought()) is not None:
            return brought
        now, stamps = self._clock(), self._asked_stamps()
        try_to_write_file(path, json.dumps({"at": now, "stamps": stamps}, sort_keys=True))
        return stamps

    def _asked_stamps(self) -> dict[str, str]:
        """The stamps that the source has; what it had before and has no more is forgotten."""
        before = self._cached_stamps()  # first: another process may list what has just come
        stamps = self._source.stamps()
        for file in before.keys() - stamps.keys():
            self._forget(file)
        return stamps

    def _is_recent(self, read_at: float) -> bool:
        """Whether what was asked for at this time (s since 1970) is still trusted."""
        return self._outdated_until < read_at and 0 <= self._clock() - read_at < self._refresh

    def _listed(self) -> dict[str, str]:
        try:
            return self._stamps()
        except ServiceUnavailableError:
            return self._cached_stamps()

    def _cached_stamps(self) -> dict[str, str]:
        listing = read_json(self._cache / _LISTING, "stamps")
        stamps: dict[str, str] = listing["stamps"] if listing else {}
        return stamps

    # --- a courier --------------------------------------------------------------------------------------------

    def bring(self, seconds: float) -> None:
        """Fetch whatever has changed, and keep it, for others who need not ask the source for the next ``seconds``.

        :raises ServiceUnavailableError: the source does not answer.
        """
        listed = self._clock()  # what is published from now on may not be in the listing
        stamps = self._asked_stamps()
        for file, stamp in stamps.items():
            try:
                self._bring(file, stamp)
            except ServiceUnavailableError as error:  # one that may not be read, or kept, is a matter of its own
                log.warning("%s cannot be brought: %s", file, error)
        listing = {"at": listed, "stamps": stamps}
        # Last: who reads it finds every text that could be read. Others overwrite their own listing alone.
        write_file(self._cache / _LISTING, json.dumps(listing, sort_keys=True))
        brought = {**listing, "until": self._clock() + seconds}
        write_file(self._cache / _BROUGHT, json.dumps(brought, sort_keys=True))

    def _bring(self, file: str, stamp: str) -> None:
        try:
            entry = self._entry(file, self._text(file, stamp))
        except DefinitionNotFoundError:  # it has gone since
            return
        if entry.good is not None:
            self.keep(entry.good)

    def brought(self) -> dict[str, str] | None:
        """The stamps that a courier brought; None if they are too old. Asks nobody."""
        listing = read_json(self._cache / _BROUGHT, "at", "stamps", "until")
        if listing is None or not listing["at"] <= self._clock() < listing["until"]:
            return None
        stamps: dict[str, str] = listing["stamps"]
        return stamps

    # --- one file --------------------------------------------------------------------------------------------

    def _text(self, file: str, stamp: str = "", *, asks: bool = True) -> str:
        """The file's text; with ``stamp`` from the cache if that has it, else by a conditional read.

        ``asks``: the source may be asked; it has not answered a moment ago if not.
        """
        path = self._cache / "objects" / safe_name(file)
        cached = read_json(path, "stamp", "text", "at")
        if cached and (not asks or cached["stamp"] == stamp or (not stamp and self._is_recent(cached["at"]))):
            return str(cached["text"])
        if not asks:
            raise ServiceUnavailableError(f"{self.place} does not answer, and {file} is not in the cache")
        now = self._clock()
        try:
            answer = self._source.read(file, cached["stamp"] if cached else "")
        except ServiceUnavailableError:
            if cached:
                return str(cached["text"])
            raise
        except DefinitionNotFoundError:
            self._forget(file)
            raise
        if isinstance(answer, NotModified):
            assert cached
            fresh = {**cached, "at": now}
        else:
            fresh = {"stamp": answer.stamp, "text": answer.text, "at": now}
        try_to_write_file(path, json.dumps(fresh))
        return str(fresh["text"])

    def _forget(self, file: str) -> None:
        """The file has been deleted: it is not to come back when the source does not answer, or gets a bad one."""
        for folder in ("objects", "last-good"):
            with suppress(OSError):
                (self._cache / folder / safe_name(file)).unlink(missing_ok=True)

    def _entry(self, file: str, text: str) -> Entry:
        """Check a text once: the verdict is cached under its digest."""
        digest = digest_of(text)
        problems: tuple[Problem, ...] = ()
        good = self._known(digest, text, file)
        if good is None:
            good, problems = self._checked(text, file)
        if good is not None:
            self._remember_good(file, good)
            return Entry(file=file, workflow_id=good.workflow_id, good=good)
        if (old := self._last_good(file)) is not None:
            return Entry(file=file, workflow_id=old.workflow_id, good=old, problems=problems)
        return Entry(file=file, workflow_id=stem_of(file), good=None, problems=problems)

    def _known(self, digest: str, text: str, file: str) -> Good | None:
        verdict = read_file(self._cache / _GOOD / digest)
        return _good(verdict, text, file, digest) if verdict is not None else None

    def _checked(self, text: str, file: str) -> tuple[Good | None, tuple[Problem, ...]]:
        definition, problems = self._check(text, file)
        return Good.of(definition) if definition is not None else None, problems

    def _last_good(self, file: str) -> Good | None:
        """The version that was good before, if it is for this program, too: what it checks may have changed."""
        last = read_file(self._cache / "last-good" / safe_name(file))
        if last is None:
            return None
        digest = digest_of(last)
        if (known := self._known(digest, last, file)) is not None:
            return known
        old, _ = self._checked(last, file)
        if old is not None:
            self._remember({self._cache / _GOOD / digest: _verdict(old)})
        return old

    def _remember_good(self, file: str, good: Good) -> None:
        self._remember(
            {
                self._cache / "last-good" / safe_name(file): good.text,
                self._cache / "by-digest" / good.digest: good.text,
                self._cache / _GOOD / good.digest: _verdict(good),
            }
        )

    def _remember(self, remembered: Mapping[Path, str]) -> None:
        for path, text in remembered.items():
            if read_file(path) != text:
                try_to_write_file(path, text)
