"""The files of a source as they are served: each under a DAG id of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cch.definition.model import Definition
from cch.definition.names import OWN_DAGS
from cch.errors import Problem

#: Longest DAG id of a file that cannot be used, in characters.
_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the source.

    ``definition`` is the current version if it is good, else the last good one (``problems`` then says what is
    wrong with the current), else None; ``workflow_id`` is then a DAG id that no good definition and no other file has.
    """

    file: str
    workflow_id: str
    definition: Definition | None
    problems: tuple[Problem, ...] = ()


def stem_of(file: str) -> str:
    """A file's name without folder and ending."""
    return file.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def safe_name(name: str) -> str:
    """A file name for any name."""
    plain = "".join(c if c.isalnum() or c in "_.-" else "_" for c in name)
    return name if name == plain else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _owner(workflow_id: str, files: Sequence[str], indexed: str) -> str:
    """Which of several files keeps the id: the one that served it, else the one that is called so, else the first."""
    named = [file for file in files if stem_of(file) == workflow_id]
    return next(iter([file for file in files if file == indexed] + named + sorted(files)))


def _unusable(entry: Entry, code: str, message: str, hint: str) -> Entry:
    problem = Problem(code=code, message=message, hint=hint, file=entry.file, line=1, column=1)
    return Entry(file=entry.file, workflow_id=stem_of(entry.file), definition=None, problems=(problem,))


def served_entries(entries: Sequence[Entry], indexed: Mapping[str, str]) -> tuple[Entry, ...]:
    """The entries, each with a DAG id of its own. Nothing takes the id of a good definition, nor one of ours.

    Of several files with one ``workflow_id`` one keeps it, and the others become problems. ``indexed``: workflow →
    the file that served it before ("" if nobody knows).
    """
    files: dict[str, list[str]] = {}
    for entry in entries:
        if entry.definition is not None:
            files.setdefault(entry.workflow_id, []).append(entry.file)
    owners = {workflow: _owner(workflow, named, indexed.get(workflow, "")) for workflow, named in files.items()}
    judged = [_judged(entry, owners) for entry in entries]
    taken = {*OWN_DAGS, *(entry.workflow_id for entry in judged if entry.definition is not None)}
    served = []
    for entry in judged:
        if entry.definition is None:
            entry = replace(entry, workflow_id=_free_id(entry, taken))  # noqa: PLW2901
            taken.add(entry.workflow_id)
        served.append(entry)
    return tuple(served)


def _judged(entry: Entry, owners: Mapping[str, str]) -> Entry:
    if entry.definition is None:
        return entry
    if entry.workflow_id in OWN_DAGS:
        message = f"workflow_id {entry.workflow_id!r} is reserved for the platform's own DAGs"
        return _unusable(entry, "CCH-D028", message, "choose one that does not begin with cch_")
    owner = owners[entry.workflow_id]
    if owner == entry.file:
        return entry
    message = f"workflow_id {entry.workflow_id!r} is already used by {owner}"
    return _unusable(entry, "CCH-G007", message, "give one of them another id")


def _free_id(entry: Entry, taken: set[str]) -> str:
    """A DAG id for a file that cannot be used: its name without the ending, with it, or with a number."""
    for name in (entry.workflow_id, entry.file.rsplit("/", 1)[-1]):
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:_LONGEST]
        if plain not in taken:
            return plain
    number = 2
    while f"{plain}_{number}" in taken:
        number += 1
    return f"{plain}_{number}"
