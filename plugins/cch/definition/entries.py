"""The files of a source as they are served: each under a DAG id of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cch.definition.model import Definition
from cch.definition.names import OWN_DAGS
from cch.definition.reader import read_by
from cch.errors import Problem

ENDINGS = (".yaml", ".yml")
#: Longest DAG id of a file that cannot be used, in characters.
_LONGEST = 200


class Good:
    """A text that was found good. It is read when somebody asks for its definition, which takes most of the time."""

    __slots__ = ("_definition", "digest", "file", "rules", "text", "workflow_id")

    def __init__(self, workflow_id: str, rules: int, text: str, file: str, digest: str) -> None:
        self.workflow_id = workflow_id
        self.rules = rules
        self.text = text
        self.file = file
        #: sha256 (hex) of the text.
        self.digest = digest
        self._definition: Definition | None = None

    @classmethod
    def of(cls, definition: Definition) -> Good:
        good = cls(
            definition.workflow_id, definition.reading_rules, definition.text, definition.file, definition.digest
        )
        good._definition = definition
        return good

    @property
    def definition(self) -> Definition:
        if self._definition is None:
            self._definition = read_by(self.rules, self.text, self.file)
        return self._definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the source.

    ``good`` is the current version if it is good, else the last good one (``problems`` then says what is wrong with
    the current), else None; ``workflow_id`` is then a DAG id that no good definition and no other file has.
    """

    file: str
    workflow_id: str
    good: Good | None
    problems: tuple[Problem, ...] = ()
    #: The good files with this ``workflow_id``, this one first. Those after it have no DAG, and no entry, of their own.
    tracks: tuple[str, ...] = ()

    @property
    def definition(self) -> Definition | None:
        """The definition in :attr:`good`."""
        return self.good.definition if self.good is not None else None


def stem_of(file: str) -> str:
    """A file's name without folder and ending."""
    return file.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def safe_name(name: str) -> str:
    """A file name for any name."""
    plain = "".join(c if c.isalnum() or c in "_.-" else "_" for c in name)
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    if len(plain.encode()) > _LONGEST:  # the key of a file with prefixes may be longer than a file's name
        return f"{plain[:30]}-{digest}"
    return name if name == plain and name.strip(".") else f"{plain}-{digest[:8]}"


def is_called(file: str, workflow_id: str) -> bool:
    """Whether a file is the one that a start by the id names: it lies under no prefix, and has the id as its name."""
    return file in [f"{workflow_id}{ending}" for ending in ENDINGS]


def _owner(workflow_id: str, files: Sequence[str], indexed: str) -> str:
    """Which of several files serves the DAG: the one that is called so, else the one that served it, else the first.

    A file under a prefix comes after those that are under none.
    """
    served = [file for file in files if file == indexed]
    named = [f"{workflow_id}{ending}" for ending in ENDINGS if f"{workflow_id}{ending}" in files]
    others = sorted(files, key=lambda file: ("/" in file, stem_of(file) != workflow_id, file))
    return next(iter(named + served + others))


def _unusable(entry: Entry, code: str, message: str, hint: str) -> Entry:
    problem = Problem(code=code, message=message, hint=hint, file=entry.file, line=1, column=1)
    return Entry(file=entry.file, workflow_id=stem_of(entry.file), good=None, problems=(problem,))


def served_entries(entries: Sequence[Entry], indexed: Mapping[str, str]) -> tuple[Entry, ...]:
    """The entries, each with a DAG id of its own. Nothing takes the id of a good definition, nor one of ours.

    Several files with one ``workflow_id`` are tracks of it. One of them serves the DAG, and its entry names the others
    and has their problems. ``indexed``: workflow → the file that served it before ("" if nobody knows).
    """
    files: dict[str, list[str]] = {}
    for entry in entries:
        if entry.good is not None:
            files.setdefault(entry.workflow_id, []).append(entry.file)
    owners = {workflow: _owner(workflow, named, indexed.get(workflow, "")) for workflow, named in files.items()}
    judged = [_judged(entry, entries) for entry in entries if entry.good is None or _serves(entry, owners)]
    taken = {*OWN_DAGS, *(entry.workflow_id for entry in judged if entry.good is not None)}
    served = []
    for entry in judged:
        if entry.good is None:
            entry = replace(entry, workflow_id=_free_id(entry, taken))  # noqa: PLW2901
            taken.add(entry.workflow_id)
        served.append(entry)
    return tuple(served)


def _serves(entry: Entry, owners: Mapping[str, str]) -> bool:
    return owners[entry.workflow_id] == entry.file or entry.workflow_id in OWN_DAGS


def _judged(entry: Entry, entries: Sequence[Entry]) -> Entry:
    if entry.good is None:
        return entry
    if entry.workflow_id in OWN_DAGS:
        message = f"workflow_id {entry.workflow_id!r} is reserved for the platform's own DAGs"
        return _unusable(entry, "CCH-D028", message, "choose one that does not begin with cch_")
    others = [each for each in entries if each.workflow_id == entry.workflow_id and each.good is not None]
    others = sorted((each for each in others if each.file != entry.file), key=lambda each: each.file)
    problems = [problem for each in others for problem in each.problems]
    return replace(entry, problems=(*entry.problems, *problems), tracks=(entry.file, *(each.file for each in others)))


def _free_id(entry: Entry, taken: set[str]) -> str:
    """A DAG id for a file that cannot be used: its name without the ending, with it, or with a number."""
    for name in (entry.workflow_id, entry.file.rsplit("/", 1)[-1]):
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:_LONGEST] or "unnamed"
        if plain not in taken:
            return plain
    number = 2
    while f"{plain}_{number}" in taken:
        number += 1
    return f"{plain}_{number}"
