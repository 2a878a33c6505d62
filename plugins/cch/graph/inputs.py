"""Keys that a node reads: those that nobody brings, and those that only one way brings."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from cch.definition.document import Document, Path
from cch.definition.nodes import Node
from cch.definition.paths import path_fault
from cch.definition.schema import closest
from cch.definition.uses import Read
from cch.errors import Problem
from cch.graph.flows import ANYTHING, Known, brought_on, known_at, way_without
from cch.graph.model import Graph

#: How alike a key must be to one that is known, to be taken for a misspelling of it where others are possible.
_ALIKE = 0.84
#: Names of so many letters differ much by one.
_SHORT = 4


def _reads(graph: Graph) -> Iterator[tuple[str, Node, Read]]:
    for name, node in graph.nodes.items():
        seen: set[tuple[object, str]] = set()
        for used in node.reads():
            if used.of == "context" and (used.place, used.text) not in seen and not used.text.startswith("_"):
                seen.add((used.place, used.text))
                yield name, node, used


def _parallel_writer(graph: Graph, reader: str, writers: set[str]) -> str | None:
    """One of ``writers`` that is in another branch of a fork than ``reader``."""
    for fork in graph.nodes.values() if writers else ():
        own = {branch for branch in fork.parallel if reader == branch or reader in graph.ahead[branch]}
        for writer in sorted(writers) if own else ():
            around = {branch for branch in fork.parallel if writer == branch or writer in graph.ahead[branch]}
            if around and not around & own:
                return writer
    return None


def _writers(graph: Graph) -> Mapping[str, set[str]]:
    """Key → the nodes that write it."""
    found: dict[str, set[str]] = {}
    for name, node in graph.nodes.items():
        for key in brought_on(graph, node, "").may:
            found.setdefault(key, set()).add(name)
    return found


def unknown_keys(graph: Graph, document: Document) -> Iterator[Problem]:
    """Every key that a node reads and that is not brought to it, or not on every way; each key once."""
    known, writers = known_at(graph), _writers(graph)
    every = sorted({key for each in known.values() for key in each.may} | set(writers) - {ANYTHING})
    missing: dict[str, list[tuple[str, Read]]] = {}
    for name, node, used in _reads(graph):
        here = known.get(name)
        if here is None or path_fault(used.text):
            continue  # no way leads to it, or it is no path, which is said elsewhere
        root = used.path(graph.definition.reading_rules).root
        own = brought_on(graph, node, node.at_once).may if node.at_once else frozenset()
        if root in here.may | own:
            yield from _partly(graph, document, name, node, used=used, root=root, known=known)
        elif writer := _parallel_writer(graph, name, writers.get(root, set())):
            message = f"{name!r} does not see {used.text!r}: only {writer!r} writes it, in a parallel branch"
            hint = "read it behind the join, or write it before the fork"
            yield document.problem(("nodes", name, *used.place), "CCH-G105", message, hint, warning=True)
        elif not writers.get(root, set()) - set(known):  # else what writes it is not reached, which is said elsewhere
            missing.setdefault(root, []).append((name, used))
    for root, readers in missing.items():
        asks = all("null" in graph.nodes[name].labels for name, _ in readers)
        yield from _missing(document, root, readers, every=every, known=known, asks=asks)


def _missing(
    document: Document,
    root: str,
    readers: list[tuple[str, Read]],
    *,
    every: list[str],
    known: Mapping[str, Known],
    asks: bool,
) -> Iterator[Problem]:
    """``asks``: the readers ask whether the key is there, which a start may bring although nobody says so."""
    name, used = readers[0]
    may_be_there = ANYTHING in known[name].may
    cutoff = _ALIKE if may_be_there and len(root) > _SHORT else 0.6
    close = closest(root, every, alike=cutoff)
    guess = "" if close is None else f"did you mean {close!r}?"
    others = ", ".join(sorted({repr(other) for other, _ in readers[1:] if other != name})[:3])
    too = f"; {others} read it, too" if others else ""
    place: Path = ("nodes", name, *used.place)
    if asks and not guess:
        return
    if not may_be_there:
        hint = guess or "add it to initial_context, or to the outputs (or brings) of an earlier node"
        yield document.problem(place, "CCH-G104", f"nothing before {name!r} brings {used.text!r}{too}", hint)
    elif close is not None and _differs_in_letters(root, close):
        message = f"nothing before {name!r} is known to bring {used.text!r}{too}"
        yield document.problem(place, "CCH-G104", message, guess, warning=True)


def unread_keys(graph: Graph, document: Document) -> Iterator[Problem]:
    """Keys that a node writes and none reads, where others read and write one that is spelt alike."""
    rules, writers = graph.definition.reading_rules, _writers(graph)
    read = {used.path(rules).root for _, _, used in _reads(graph)}
    both = sorted(key for key in read if key in writers or key in graph.definition.required)
    by_plain = {_plain(key): key for key in reversed(both)}

    @functools.cache
    def meant(root: str) -> str | None:
        return by_plain.get(_plain(root)) or closest(root, both, alike=_ALIKE)

    for name, node in graph.nodes.items():
        for write in node.writes():
            root = write.path(rules).root
            if root in read or not write.brings or name not in graph.reachable or write.place == ("item_key",):
                continue
            close = meant(root)
            if close is not None and _differs_in_letters(root, close):
                message = f"nobody reads {root!r}, which {name!r} writes"
                hint = f"did you mean {close!r}?"
                yield document.problem(("nodes", name, *write.place), "CCH-G121", message, hint, warning=True)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _differs_in_letters(one: str, other: str) -> bool:
    """Whether two names differ in more than a number: line1 and line2 are two things."""
    return "".join(filter(str.isalpha, one)) != "".join(filter(str.isalpha, other))


def _may_be_absent(node: Node, used: Read) -> bool:
    """Whether the author has thought of the key's absence."""
    return used.optional or (bool({"null", "_default"} & set(node.labels)) and used.text == node.decides_by)


def _partly(
    graph: Graph, document: Document, name: str, node: Node, *, used: Read, root: str, known: Mapping[str, Known]
) -> Iterator[Problem]:
    here = known[name]
    own = brought_on(graph, node, node.at_once).must if node.at_once else frozenset()
    if root in here.must | own or ANYTHING in here.must or _may_be_absent(node, used):
        return
    way = way_without(graph, known, name, root)
    if way is not None:
        message = (
            f"{used.text!r} is not always there at {name!r}: the way {way.label} from {way.source!r} does not bring it"
        )
        hint = "set it on that way, too, or make sure that it is not needed"
        yield document.problem(("nodes", name, *used.place), "CCH-G109", message, hint, warning=True)
