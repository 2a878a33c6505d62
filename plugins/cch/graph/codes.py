"""Every code of a problem, explained; ``python -m cch.graph.codes`` prints ``docs/errors.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import fill

from cch import errors
from cch.errors import CchError
from cch.graph.explained_contracts import CONTRACTS
from cch.graph.explained_files import FILES, READINGS
from cch.graph.explained_findings import FINDINGS
from cch.graph.explained_graphs import ERRORS
from cch.graph.explained_texts import TEXTS
from cch.graph.explained_warnings import WARNINGS
from cch.graph.explanation import Explanation

#: In the order of the page.
EXPLANATIONS: tuple[Explanation, ...] = (*FILES, *ERRORS, *FINDINGS, *TEXTS, *READINGS, *WARNINGS, *CONTRACTS)

_PARTS = (
    ("Files and schema", "The file cannot be read, or a key or value is not what the language has.", FILES),
    ("Errors of the graph", "Every node is fine by itself, but they do not fit together.", ERRORS),
    (
        "What does not fit",
        (
            "`cch validate` and `cch publish` report these. What is being served goes on being served. A warning "
            'is left out where its node, or the top of the file, has `x-ignore: ["CODE: reason"]`.'
        ),
        (*FINDINGS, *TEXTS),
    ),
    (
        "Warnings",
        (
            "The definition is used as it is: production definitions do these things on purpose. "
            "`cch validate --strict` counts them as errors."
        ),
        (*READINGS, *WARNINGS),
    ),
    (
        "Contracts",
        (
            "A contract in `capabilities/` says what a capability takes and answers. `CCH-K0…` are about contracts "
            "themselves, `CCH-K1…` about definitions that do not keep them; these have the level of findings above."
        ),
        CONTRACTS,
    ),
)

#: Line length of prose, as in the other pages.
_WIDTH = 125

_INTRODUCTION = """\
<!-- Made by `python -m cch.graph.codes > docs/errors.md`; change the catalogue in plugins/cch/graph instead. -->
# Problem codes

What `cch validate`, `cch test` and the DAG of an unusable definition report, code by code. Every problem has a place
(`file:line:column`) and a message that names what is wrong, most have a hint what to do; the code is stable and may be
searched for. Each wrong example below is a whole file whose only problem has that code; the right one has none.
"""


def code_of_errors() -> tuple[tuple[str, str], ...]:
    """(code, meaning) of everything that is raised instead of collected."""
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CchError)]
    return tuple(sorted((each.code, " ".join((each.__doc__ or "").split())) for each in classes))


def _block(title: str, text: str) -> Iterator[str]:
    yield f"{title}\n"
    yield f"```yaml\n{text.rstrip()}\n```\n"


def _section(each: Explanation) -> Iterator[str]:
    yield f"### {each.code}\n"
    yield f"**{each.title}** ({each.severity})\n"
    yield f"{fill(each.why, _WIDTH, break_on_hyphens=False, break_long_words=False)}\n"
    if not each.wrong:
        return
    line, column = each.place
    if each.beside:
        yield from _block("The contract:" if each.is_contracted else "One file:", each.beside)
    yield from _block(f"{_subject(each)}, reported at line {line}, column {column}:", each.wrong)
    yield from _block("Right:", each.right)


def _subject(each: Explanation) -> str:
    if each.is_contracted:
        return "Wrong definition"
    if each.beside:
        return "Another file, wrong"
    return f"Wrong {each.form}" if each.form in ("scenario", "contract") else "Wrong"


def _contents() -> Iterator[str]:
    for title, _, explanations in _PARTS:
        yield f"- [{title}](#{title.lower().replace(' ', '-')})"
        yield from (f"  - [{each.code}](#{each.code.lower()}): {each.title}" for each in explanations)
    yield "- [Errors of commands and messages](#errors-of-commands-and-messages)\n"


def page() -> str:
    """The text of ``docs/errors.md``."""
    lines = [_INTRODUCTION, *_contents()]
    for title, about, explanations in _PARTS:
        lines += [f"## {title}\n", f"{fill(about, _WIDTH, break_long_words=False, break_on_hyphens=False)}\n"]
        lines += [line for each in explanations for line in _section(each)]
    lines += ["## Errors of commands and messages\n", "These are raised; no file produces them.\n"]
    lines += ["| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning.replace('``', '`')} |" for code, meaning in code_of_errors()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(page().encode())  # UTF-8 with plain line ends wherever it is made
