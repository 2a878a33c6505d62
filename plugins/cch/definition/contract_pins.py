"""Which contracts a published definition is held to: a comment in its text, so that the digest of the text names them.

A definition without contracts has no such line, and its digest is what it always was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

#: Where the source keeps contracts by their digest, for the definitions that name them: never written twice.
CONTRACTS_BY_DIGEST = ".contracts/by-digest/"
#: Where it keeps the newest contract of each capability.
NEWEST_CONTRACTS = ".contracts/newest/"
#: Do not change: it stands in texts that instances run.
_BEGIN = "# contracts: "
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


def pins_of(text: str) -> dict[str, str]:
    """Capability → digest of its contract, as a published text says it; empty if it says nothing."""
    line = _line_of(text)
    if line is None:
        return {}
    raw = json.loads(line.removeprefix(_BEGIN))
    return {str(key): str(value) for key, value in raw.items()}


def without_pins(text: str) -> str:
    """The text as its author has written it."""
    line = _line_of(text)
    if line is None:
        return text
    return text.removesuffix(f"{line}\n") if text.endswith(f"\n{line}\n") else text.replace(f"{line}\n", "", 1)


def with_pins(text: str, pins: Mapping[str, str]) -> str:
    """The text with the line that names these contracts, and no other such line.

    The line comes last, where it moves no other; but first if the text does not end with its last line, because it
    may end inside a value.
    """
    plain = without_pins(text)
    if not pins:
        return plain
    line = f"{_BEGIN}{json.dumps(dict(pins), sort_keys=True)}\n"
    if plain.endswith("\n"):
        return f"{plain}{line}"
    begin = _BOM if plain.startswith(_BOM) else ""
    return f"{begin}{line}{plain.removeprefix(_BOM)}"


def _line_of(text: str) -> str | None:
    """The line that names contracts: the last one, or the first."""
    last = text[text.rfind("\n", 0, -1) + 1 :].removesuffix("\n") if text.endswith("\n") else ""
    first = text.removeprefix(_BOM).split("\n", 1)[0]
    return next((line for line in (last, first) if _is_pins(line)), None)


def _is_pins(line: str) -> bool:
    if not line.startswith(_BEGIN):
        return False
    try:
        raw = json.loads(line.removeprefix(_BEGIN))
    except ValueError:
        return False
    return isinstance(raw, dict) and all(isinstance(v, str) and _DIGEST.fullmatch(v) for v in raw.values())
