"""How messages name a definition: by its id, its file's name, an alias, or the URI of its file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from cch.definition.source import BY_DIGEST

#: Where the source keeps aliases: one object for each, which names the workflow.
ALIASES = "aliases/"
#: Prefixes of the source under which there are no definitions to serve, wherever they stand in a key.
_KEPT = frozenset({BY_DIGEST.rstrip("/"), ALIASES.rstrip("/")})
#: Longest key of a definition, in characters: S3 takes 1,024 bytes.
_LONGEST = 250
_PART = re.compile(r"[^\x00-\x1f/\\]+")
_ENDING = re.compile(r"\.(ya?ml|json)$")


@dataclass(frozen=True, slots=True)
class DefinitionAddress:
    """``place`` is the bucket ("" where the text names none), ``key`` what follows it."""

    text: str
    place: str
    key: str

    @classmethod
    def of(cls, text: str) -> DefinitionAddress:
        if text.startswith("s3://"):
            place, _, key = text.removeprefix("s3://").partition("/")
            return cls(text, place, key)
        return cls(text, "", text)

    @property
    def file(self) -> str:
        """The file's name, without the prefixes before it."""
        return self.key.rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """The file's name without its ending, which may be an id."""
        return plain_name(self.file)

    @property
    def is_version(self) -> bool:
        """Whether it names a version that is kept for running instances: nobody starts those."""
        return bool(self.place) and self.key.startswith((BY_DIGEST, ALIASES))


def is_key(key: str) -> bool:
    """Whether a file of definitions may have this key. Under a prefix, names that begin with a dot are hidden."""
    *prefixes, name = key.split("/")
    if len(key) > _LONGEST or not name.endswith((".yaml", ".yml")) or not all(map(_PART.fullmatch, (*prefixes, name))):
        return False
    return not prefixes or not any(part in _KEPT or part.startswith(".") for part in (*prefixes, name))


def plain_name(file: str) -> str:
    """A file's name without the ending of a definition."""
    return _ENDING.sub("", file)


def alias_key(alias: str) -> str:
    """Where the source keeps an alias."""
    return f"{ALIASES}{alias}.json"


def alias_text(workflow_id: str) -> str:
    """What it keeps there."""
    return json.dumps({"workflow_id": workflow_id}) + "\n"


def aliased(text: str) -> str:
    """The workflow that an alias names; "" if the object is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    workflow_id = found.get("workflow_id") if isinstance(found, dict) else None
    return workflow_id if isinstance(workflow_id, str) else ""
