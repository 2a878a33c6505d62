"""The operators' table of settings: ``python -m cch.settings_table docs/operations.md`` writes it there anew."""

from __future__ import annotations

import sys
from pathlib import Path

from cch.settings import OPTIONS, Option

#: What stands before and after the table on the page.
BEGIN = "<!-- This table is written by `make settings` from plugins/cch/settings.py. -->\n"
END = "<!-- end of the table -->\n"


def _default(option: Option) -> str:
    if option.shown or not option.default:
        return option.shown
    match option.kind:
        case "boolean":
            return option.default.lower()
        case "integer":
            return f"{int(option.default):,}"
        case "float":
            return f"{float(option.default):g}"
        case _:
            return f"`{option.default}`"


def table() -> str:
    """One row for each setting."""
    rows = (f"| `{option.variable}` | {_default(option)} | {option.about} |\n" for option in OPTIONS)
    return "".join(("\n| setting | default | meaning |\n|---|---|---|\n", *rows, "\n"))


def written(page: str) -> str:
    """The page with today's table.

    :raises ValueError: it has no place for one.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}{table()}{end}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text("utf-8")), "utf-8")
