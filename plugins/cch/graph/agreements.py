"""Where a node and the contract of the capability that it asks do not agree.

What is certain to fail a node is an error, so only where the contract says ``enforce: fail``; all else is a warning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cch.definition.contract import CONTRACT_CODE, Contract, in_words
from cch.definition.document import Document, Path
from cch.definition.json_schemas import keys_of, misfits, schema_at
from cch.definition.kinds import Asked, Calling, Requesting
from cch.definition.nodes import Node
from cch.definition.paths import read_path
from cch.definition.schema import closest, did_you_mean
from cch.definition.uses import keys_of_reply, written_in
from cch.errors import Problem
from cch.graph.contracted import contract_of
from cch.graph.flows import ANYTHING, Known, known_at
from cch.graph.model import STATUS, Graph
from cch.graph.times import CODES
from cch.graph.types import said_types, types_of

#: How alike two names must be where one may as well be a name of its own.
_ALIKE = 0.75


def broken_contracts(graph: Graph, document: Document) -> Iterator[Problem]:
    """Everything in which a node does not keep the contract of the capability that it asks."""
    if not graph.definition.contracts:
        return
    known = functools.cache(functools.partial(known_at, graph))  # few need it
    for name, node in graph.nodes.items():
        contract, asked = contract_of(graph, node), node.asks
        if contract is None or asked is None or name not in graph.reachable:
            continue
        yield from _request(graph, document, node, asked=asked, contract=contract, known=known)
        yield from _values(graph, document, node, asked=asked, contract=contract)
        yield from _reply(graph, document, node, asked=asked, contract=contract)
        if isinstance(node, Requesting | Calling):
            yield from _retries(document, node, contract)
            yield from _times(graph, document, node, contract)


def _is_closed(schema: Any) -> bool:
    """Whether an object may have the described keys only."""
    return isinstance(schema, Mapping) and schema.get("additionalProperties") is False


def _sent(graph: Graph, name: str, asked: Asked) -> dict[str, Path] | None:
    """The keys that a request names, with their places; None: it sends whatever is there."""
    place: Path = ("nodes", name)
    if asked.input is not None:
        return {key: (*place, "input", key) for key in asked.input}
    if asked.sends is None:
        return None
    paths = [(key, read_path(key, graph.definition.reading_rules)) for key in asked.sends]
    names = [path.root if len(path.steps) == 1 else key for key, path in paths]
    return {key: (*place, "input_keys", index) for index, key in enumerate(names)}


def _request(
    graph: Graph,
    document: Document,
    node: Node,
    *,
    asked: Asked,
    contract: Contract,
    known: Callable[[], Mapping[str, Known]],
) -> Iterator[Problem]:
    """Keys that are sent and not known, or needed and not sent."""
    described = keys_of(contract.request)
    if described is None:
        return
    may, always = described
    sent, fails = _sent(graph, node.name, asked), contract.enforce == "fail"
    taken: set[str] = set()
    for key, place in (sent or {}).items():
        guess = closest(key, may - set(sent or {}), alike=_ALIKE) if key not in may else None
        if key in may or (guess is None and not _is_closed(contract.request)):
            continue
        taken |= {guess} if guess else set()
        message = f"{contract.id} takes no {key!r}, which {node.name!r} sends"
        hint = f"did you mean {guess!r}?" if guess else f"it takes {', '.join(sorted(may))}"
        yield document.problem(place, "CCH-K101", message, hint, warning=not fails or not _is_closed(contract.request))
    if not always:
        return
    here = frozenset(sent) if sent is not None else known()[node.name].may
    missing = [] if ANYTHING in here else sorted(always - here - taken)
    if missing:
        key = "input" if asked.input is not None else "input_keys" if sent is not None else asked.key
        message = f"{contract.id} needs {', '.join(map(repr, missing))}, which {node.name!r} does not send"
        hint = f"add {missing[0]!r} to {key}" if sent is not None else "bring it before, or name it in input"
        yield document.problem(("nodes", node.name, key), "CCH-K101", message, hint, warning=not fails)


def _values(graph: Graph, document: Document, node: Node, *, asked: Asked, contract: Contract) -> Iterator[Problem]:
    """Values that are sent and cannot be what the capability takes."""
    fails = contract.enforce == "fail"
    for key, value in (asked.input or {}).items():
        schema, _ = schema_at(contract.request, (key,))
        if schema is not None and not written_in(value) and (wrong := misfits(schema, value, bounded=True)):
            message = (
                f"{node.name!r} sends {key!r} as {contract.id} does not take it: {in_words([m for _, m in wrong])}"
            )
            hint = "correct the value, or the contract"
            yield document.problem(("nodes", node.name, "input", key), "CCH-K103", message, hint, warning=not fails)
    for index, key in enumerate(asked.sends or ()):
        steps = read_path(key, graph.definition.reading_rules).steps
        wanted = types_of(schema_at(contract.request, steps if len(steps) == 1 else (key,))[0])
        said = said_types(graph, steps)
        if wanted is not None and said is not None and not _may_be(said[0], wanted):
            kinds, takes = " or ".join(sorted(said[0])), " or ".join(sorted(wanted))
            message = f"{contract.id} takes {key!r} of type {takes}, and {said[1]!r} says that it is of type {kinds}"
            hint = "send another key, or correct what is said of it"
            yield document.problem(
                ("nodes", node.name, "input_keys", index), "CCH-K103", message, hint, warning=not fails
            )


def _may_be(said: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether a value of one of the types ``said`` may be one of ``wanted``: a number may be whole."""
    numbers = {"integer", "number"}
    return bool(said & wanted) or bool(said & numbers and wanted & numbers)


def _reply(graph: Graph, document: Document, node: Node, *, asked: Asked, contract: Contract) -> Iterator[Problem]:
    """Keys that the node wants of a reply, and that none brings."""
    schema = contract.replies.get("SUCCESS")
    described = keys_of(schema)
    if described is None:
        return
    may = described[0] | {STATUS, "messages"}
    if (of_errors := contract.brought("ERROR")) is not None:
        may |= of_errors[0]
    written = document.data["nodes"][node.name]
    lists = [key for key in ("request_output_keys", "output_keys") if key in written]
    wants: list[tuple[str, Path]] = (
        [(key, (lists[0], index)) for index, key in enumerate(written[lists[0]])] if lists else []
    )
    if asked.output is not None:
        wants = [
            (key, ("output", path)) for path, value in asked.output.items() for key in keys_of_reply({path: value})
        ]
    for key, place in wants:
        root = key if asked.output is not None else read_path(key, graph.definition.reading_rules).root
        if {key, root} & may:
            continue
        guess = did_you_mean(root, described[0])
        message = f"a reply of {contract.id} brings no {root!r}, which {node.name!r} wants"
        hint = guess or f"it brings {', '.join(sorted(described[0]))}"
        certain = _is_closed(schema) and contract.enforce == "fail"
        yield document.problem(("nodes", node.name, *place), "CCH-K102", message, hint, warning=not certain)


def _retries(document: Document, node: Requesting | Calling, contract: Contract) -> Iterator[Problem]:
    place: Path = ("nodes", node.name, "retry")
    for index, code in enumerate(node.retry.on or ()):
        if contract.errors is None or code in contract.errors or code in CODES or code.startswith(("HTTP_", "CCH-")):
            continue
        known = [*contract.errors, CONTRACT_CODE]
        message = f"{contract.id} gives no code {code!r:.60}, so {node.name!r} is never tried again for it"
        hint = did_you_mean(code, known) or f"its codes are {', '.join(contract.errors) or 'none'}"
        yield document.problem((*place, "on", index), "CCH-K104", message, hint, warning=True)
    if contract.idempotency == "none" and node.retry.max_attempts > 1:
        message = f"{contract.id} knows no repetition, so another attempt of {node.name!r} may do the work twice"
        hint = "leave retry out, or let the capability know the request key"
        yield document.problem(place, "CCH-K106", message, hint, warning=True)


def _times(graph: Graph, document: Document, node: Requesting | Calling, contract: Contract) -> Iterator[Problem]:
    limit, whole = node.timeout, graph.definition.timeout
    if limit and contract.usual is not None and limit < contract.usual:
        message = f"{contract.id} usually answers after {contract.usual:g} s, and {node.name!r} waits less"
        hint = f"wait {contract.longest or contract.usual:g} s or more"
        yield document.problem(("nodes", node.name, "timeout"), "CCH-K105", message, hint, warning=True)
    elif limit is None and whole and contract.usual is not None and whole < contract.usual:
        message = f"{contract.id} usually answers after {contract.usual:g} s, and the whole workflow may take less"
        yield document.problem(("timeout",), "CCH-K105", message, "give the workflow more time", warning=True)
