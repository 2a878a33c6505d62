"""Limits of time that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator

from cch.definition.contract import CONTRACT_CODE
from cch.definition.document import Document, Path
from cch.definition.kinds import Calling, Requesting, Timed
from cch.definition.schema import did_you_mean
from cch.errors import Problem
from cch.graph.model import Graph

_TIMEOUT = "TIMEOUT"
#: Codes that the platform itself gives.
CODES = (_TIMEOUT, CONTRACT_CODE, "EXPRESSION", "HTTP_4XX", "HTTP_5XX", "HTTP_429", "HTTP_503")


def odd_times(graph: Graph, document: Document) -> Iterator[Problem]:
    """Limits that are never met, or met at once, and ways that nothing takes because of that."""
    whole = graph.definition.timeout

    def warn(place: Path, message: str, hint: str) -> Problem:
        return document.problem(place, "CCH-G115", message, hint, warning=True)

    for name, node in graph.nodes.items():
        if not isinstance(node, Timed) or name not in graph.reachable:
            continue
        place: Path = ("nodes", name)
        if node.timeout is None and node.on_timeout is not None:
            yield warn(
                (*place, "on_timeout"), f"{name!r} has no timeout, so on_timeout is never taken", "add a timeout"
            )
        if node.timeout == 0:
            yield warn((*place, "timeout"), f"the timeout of {name!r} is up at once", "write how long it may take")
        if whole and node.timeout and node.timeout >= whole:
            message = f"{name!r} may take {node.timeout:g} s, and the whole workflow only {whole:g} s"
            yield warn((*place, "timeout"), message, "shorten it, or give the workflow more time")
        if isinstance(node, Requesting | Calling):
            yield from _retries(document, name, node)


def _retries(document: Document, name: str, node: Requesting | Calling) -> Iterator[Problem]:
    written = document.data["nodes"][name].get("retry")
    if not isinstance(written, dict):
        return
    place: Path = ("nodes", name, "retry")

    def warn(key: Path, message: str, hint: str) -> Problem:
        return document.problem((*place, *key), "CCH-G116", message, hint, warning=True)

    if node.retry.max_attempts <= 1:
        key: Path = ("max_attempts",) if "max_attempts" in written else ()
        yield warn(key, f"{name!r} is tried once only, so its retry is never used", "set max_attempts to 2 or more")
    if node.retry.max_delay is not None and node.retry.max_delay < node.retry.delay:
        yield warn(
            ("max_delay",), f"the max_delay of {name!r} is shorter than its delay", "swap them, or leave one out"
        )
    for index, code in enumerate(node.retry.on or ()):
        if code == _TIMEOUT and node.timeout is None:
            yield warn(("on", index), f"{name!r} has no timeout, so nothing raises {code}", "add a timeout")
        elif code not in CODES and (guess := did_you_mean(code.upper(), CODES)) and not code.startswith("HTTP_"):
            yield warn(("on", index), f"nothing is known to raise {code!r:.60}", guess)
