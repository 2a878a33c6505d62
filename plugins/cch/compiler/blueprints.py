"""Blueprints of versions, kept on disk: a parse compiles what it has not seen, and nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection
from pathlib import Path

import cch
from cch.compiler.blueprint import Blueprint, blueprint
from cch.definition.entries import Good
from cch.definition.files import read_json, try_to_write_file
from cch.definition.model import Definition
from cch.definition.version import Version
from cch.graph.planners import NEWEST_PLANNER, planner_of

#: What decides about a blueprint besides its version.
_DECIDING = ("compiler", "definition", "expressions", "graph")
#: Key of the capabilities that a definition calls, in a file of their own.
_CALLED = "called"


@functools.cache
def program_stamp() -> str:
    """Changes with every release, and with every change of the code that makes blueprints."""
    folder = Path(cch.__file__).parent
    files = sorted(path for part in _DECIDING for path in (folder / part).rglob("*.py"))
    stats = [
        (str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns) for path in files for stat in [path.stat()]
    ]
    return hashlib.sha256(json.dumps([cch.__version__, stats]).encode()).hexdigest()[:16]


class Blueprints:
    """Blueprints in a folder of the cache, which may be lost at any time. What cannot be kept is made again."""

    def __init__(self, cache: Path) -> None:
        self._folder = cache / f"blueprints-{program_stamp()}"
        #: How many were made, because they were not kept.
        self.made = 0

    def served(self, good: Good, awaited: Collection[str] = ()) -> Blueprint:
        """Of the version of a workflow by which new instances run; ``awaited``: see :func:`planner_for`."""
        version = Version(good.digest, good.rules, self._planner(good, awaited) if awaited else NEWEST_PLANNER)
        return self.kept(version) or self.make(good.definition, version)

    def _planner(self, good: Good, awaited: Collection[str]) -> int:
        """The definition is not read for this: what it calls is kept, too."""
        file = self._folder / f"{Version(good.digest, good.rules)}.called"
        kept = read_json(file, _CALLED)
        called = kept[_CALLED] if kept is not None else None
        if not isinstance(called, list) or not all(isinstance(each, str) for each in called):
            called = list(good.definition.called)
            try_to_write_file(file, json.dumps({_CALLED: called}))
        return planner_of(called, awaited)

    def kept(self, version: Version) -> Blueprint | None:
        """Of this version, if it is kept."""
        data = read_json(self._folder / str(version), "workflow_id", "tasks")
        try:
            return Blueprint.from_json(data) if data is not None else None
        except (KeyError, TypeError, ValueError):  # damaged
            return None

    def make(self, definition: Definition, version: Version) -> Blueprint:
        """Make and keep it.

        :raises UnknownPlannerError: this release has no such planner.
        """
        self.made += 1
        made = blueprint(definition, version.planner)
        try:
            text = json.dumps(made.as_json())
            if Blueprint.from_json(json.loads(text)) == made:  # a schema may have what JSON has not
                try_to_write_file(self._folder / str(version), text)
        except (TypeError, ValueError):
            pass
        return made
