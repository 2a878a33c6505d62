"""Files that somebody made to do harm, or a program by mistake: refused with a reason, or good; in bounded time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cch.cli.validation import check_paths
from cch.graph.checks import check

HEAD = "workflow_id: w\nworkflow_name: W\nentry_point: N0\n"
END = "nodes: {N0: {type: end}}\n"
#: CPU seconds that one file may cost: ten times what the worst of them does, and far from harm.
SECONDS = 30.0
#: Bytes of address space for all of them, with Python and its libraries. Without limits the worst want many times that.
BYTES = 1_200 * 2**20


def nodes(number: int, one: str) -> str:
    """That many nodes and an end, each after the pattern ``one`` ({n}: its number, {next}: the one after)."""
    lines = [f"  N{n}: {one.format(n=n, next=n + 1)}\n" for n in range(number)]
    return f"{HEAD}nodes:\n{''.join(lines)}  N{number}: {{type: end}}\n"


def _grid(size: int) -> str:
    """Forks and joins that all share their branches: an anchor makes every pair of them."""
    names = ", ".join(f"S{n}" for n in range(size))
    pairs = "".join(
        f"  N{n}: {{type: fork, branches: *b}}\n  J{n}: {{type: join, join_branches: *b, on_success: N{n}}}\n"
        for n in range(size)
    )
    return f"x-b: &b [{names}]\n{HEAD}nodes:\n{pairs}" + "".join(f"  S{n}: {{type: end_branch}}\n" for n in range(size))


def _laughs() -> str:
    """A billion keys by merging mappings of mappings."""
    lines = ["x0: &x0 {a: 1, b: 2}"] + [
        f"x{n}: &x{n} {{{', '.join(f'k{n}{i}: *x{n - 1}' for i in range(9))}}}" for n in range(1, 12)
    ]
    return "\n".join(lines) + f"\n{HEAD}{END}"


LONG = "x" * 300_000
ANCHOR = f"x-long: &long {LONG}\n"
#: Name → text, and the code of a problem that it must have; "": it is good.
FILES: dict[str, tuple[Callable[[], str], str]] = {
    "ten megabytes": (lambda: HEAD + END + "# " + "x" * 10_000_000, "CCH-D003"),
    "ten megabytes of lines": (lambda: HEAD + END + "\n" * 10_000_000, "CCH-D003"),
    "a billion values": (_laughs, "CCH-D003"),
    "a long text as each type": (lambda: ANCHOR + nodes(2000, "{{type: *long}}"), "CCH-D003"),
    "a long text as each target": (lambda: ANCHOR + nodes(2000, "{{type: entry, next: *long}}"), "CCH-D003"),
    "a long text ten times": (lambda: ANCHOR + nodes(10, "{{type: entry, next: *long}}"), "CCH-G001"),
    "a long key": (lambda: f"{HEAD}{END}? {LONG}\n: 1\n", "CCH-D021"),
    "a long name": (lambda: f"{HEAD}nodes:\n  ? {LONG}\n  : {{type: end}}\n", "CCH-D026"),
    "names that nearly match": (lambda: nodes(1900, "{{type: entry, next: Node_{n}}}"), "CCH-G001"),
    "two thousand nodes": (lambda: nodes(1999, "{{type: entry, next: N{next}}}"), ""),
    "two thousand requests": (
        lambda: nodes(1999, "{{type: async_request, capability_id: a#x, on_response: N{next}, on_failure: N{next}}}"),
        "",
    ),
    "ten thousand nodes": (lambda: nodes(10_000, "{{type: entry, next: N{next}}}"), "CCH-D003"),
    "every node to every node": (lambda: _grid(150), "CCH-D003"),
    "as many pairs as allowed": (lambda: _grid(65), "CCH-G004"),
    "a list of mixed types": (
        lambda: f"{HEAD}{END}tags: [{', '.join(f'a{n}, {n}' for n in range(20_000))}]\n", "CCH-D024",
    ),
    "a loop of aliases": (lambda: f"x-a: &a {{b: &b [*a, *b]}}\n{HEAD}{END}", "CCH-D003"),
    "an alias of its own mapping": (lambda: f"{HEAD}nodes: &n {{N0: {{type: end}}, <<: *n}}\n", "CCH-D003"),
    "a thousand anchors of one name": (lambda: "x-a:\n" + "- &a x\n- *a\n" * 1000 + HEAD + END, "CCH-D001"),
    "depth by indentation": (lambda: "".join(f"{' ' * n}a:\n" for n in range(1200)), "CCH-D003"),
    "depth by short lines": (
        lambda: "a:\n" + "".join(" " * (n * 100) + "- " * 50 + "\n" for n in range(1, 130)), "CCH-D003",
    ),
    "depth by complex keys": (lambda: "? " * 300_000, "CCH-D003"),
    "keys that are lists": (lambda: f"{HEAD}nodes:\n  ? [a, b]\n  : {{type: end}}\n  N0: {{type: end}}\n", "CCH-D004"),
    "keys that are numbers": (lambda: f"{HEAD.replace('N0', '1')}nodes: {{1: {{type: end}}}}\n", "CCH-D024"),
    "a tab": (lambda: f"{HEAD}nodes:\n\tN0: {{type: end}}\n", "CCH-D001"),
    "a NUL": (lambda: f"{HEAD}\x00{END}", "CCH-D001"),
    "a NUL by escape": (lambda: HEAD.replace("W", '"\\0"') + END, "CCH-D001"),
    "a NUL in a key": (lambda: HEAD + 'initial_context: {"a\\0": true}\n' + END, "CCH-D001"),
    "half a character in a key": (lambda: HEAD + 'initial_context: {"a\\ud800": true}\n' + END, "CCH-D001"),
    "a mark of byte order": (lambda: "\ufeff" + HEAD + END, ""),
    "a mark of byte order in the middle": (lambda: f"{HEAD}\ufeff{END}", "CCH-D001"),
    "half a character": (lambda: f"{HEAD}owner: \ud800\n{END}", "CCH-D001"),
    "half a character by escape": (lambda: f'{HEAD}owner: "\\ud800"\n{END}', "CCH-D001"),
    "UTF-16 read as UTF-8": (lambda: (HEAD + END).encode("utf-16").decode("utf-8", "replace"), "CCH-D001"),
    "an object of Python": (lambda: f"{HEAD}owner: !!python/object/apply:os.system [exit]\n{END}", "CCH-D024"),
    "a tag of somebody": (lambda: f"{HEAD}owner: !mine x\n{END}", "CCH-D004"),
    "a duplicate key": (lambda: f"{HEAD}{END}{END}", "CCH-D002"),
    "fifty thousand duplicate keys": (lambda: f"{HEAD}{END}" + "x-a: 1\n" * 50_000, "CCH-D002"),
    "two documents": (lambda: f"{HEAD}{END}---\n{HEAD}{END}", "CCH-D001"),
    "a directive": (lambda: f"%YAML 9.9\n---\n{HEAD}{END}", "CCH-D001"),
    "endless time": (lambda: f"{HEAD}timeout: {'9' * 400}d\n{END}", ""),
    "an endless number": (lambda: f"{HEAD}timeout: {'9' * 4000}\n{END}", "CCH-D025"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_with_a_reason_or_good(name: str, tmp_path: Path) -> None:
    """By ``cch validate``'s own way, with code, place and hint; and in bounded time."""
    make, code = FILES[name]
    path = tmp_path / "w.yaml"
    path.write_bytes(make().encode("utf-8", "surrogatepass"))
    begun = time.process_time()

    checked = check_paths([path])

    assert time.process_time() - begun < SECONDS
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    assert bool(checked.definitions) == (not errors) == (not code)
    assert code in {problem.code for problem in errors} | {""}, errors[:3]
    assert all(problem.line and problem.column for problem in errors)
    assert all(len(str(problem)) < 1000 for problem in checked.problems)


def test_memory_is_bounded() -> None:
    """In a process that may not have more, which reads those that would want most."""
    worst = [
        "ten megabytes",
        "a billion values",
        "a long text as each type",
        "ten thousand nodes",
        "two thousand nodes",
    ]
    from tests.patience import run  # not where the program imports this file

    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({BYTES}, {BYTES}))\n"
        "import test_hostile_files as here\n"
        f"for name in {worst}: here.check(here.FILES[name][0](), name)\n"
    )

    done = run([sys.executable, "-c", program], cwd=Path(__file__).parent)

    assert done.returncode == 0, done.stderr[-3000:]


_PIECES = [
    "workflow_id: w", "workflow_name: W", "entry_point: N0", "nodes:", "N0: ", "{type: end}", "type: fork", "retry: ",
    "branches: ", "join_branches: ", "max_attempts: ", "timeout: ", "P1D", "99999999999d", "0x_", ".nan", "1e999", "~",
    "&a ", "*a", "<<: ", "? ", ": ", "- ", "[", "]", "{", "}", "'", '"', "#", "|\n ", "\t", "\n", "\n  ", "\n    ",
    "!!python/name:os.system ", "!!set ", "!!binary ", "%TAG ! x\n", "---\n", "...\n", "\\u0000", "\x00", "\ud800",
    "\ufeff", "\U0001f6a2",
]  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join), st.booleans())
@settings(max_examples=500)
def test_any_pieces_of_yaml_are_read_or_refused(text: str, whole: bool) -> None:
    """Whatever they make together: no exception, and a reason where there is no definition."""
    definition, problems = check(f"{HEAD}{END}x-a: {text}" if whole else text, "w.yaml")

    assert definition is not None or any(problem.hint or problem.message for problem in problems)
