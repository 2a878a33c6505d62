"""Blueprints of versions, kept on disk: a parse compiles what it has not seen, and nothing else."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import cch
from cch.compiler.blueprint import Blueprint, blueprint
from cch.definition.entries import Good
from cch.definition.files import read_json, write_file
from cch.definition.model import Definition
from cch.definition.version import Version
from cch.graph.planners import NEWEST_PLANNER

#: What decides about a blueprint besides its version.
_DECIDING = ("compiler", "definition", "expressions", "graph")


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

    def served(self, good: Good) -> Blueprint:
        """Of the newest version of a workflow, by the newest planner."""
        version = Version(good.digest, good.rules, NEWEST_PLANNER)
        return self.kept(version) or self.make(good.definition, version)

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
                write_file(self._folder / str(version), text)
        except (OSError, TypeError, ValueError):
            pass
        return made
