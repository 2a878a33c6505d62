"""What the contracts of capabilities say of the nodes that ask them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cch.definition.contract import Contract
from cch.definition.json_schemas import schema_at
from cch.definition.kinds import Requesting
from cch.definition.model import Definition
from cch.definition.nodes import Node
from cch.definition.paths import read_path
from cch.graph.model import Graph

#: An expression that gives what stands at a path of the reply.
_OF_REPLY = re.compile(r"\s*\{%\s*\$reply((?:\.[A-Za-z_][A-Za-z0-9_]*)+)\s*%\}\s*")
#: What every ERROR reply may bring.
_OF_ERRORS = frozenset({"messages"})


def contract_of(graph: Graph, node: Node) -> Contract | None:
    """The contract of the capability that the node asks, if it asks one that has a contract."""
    asked = node.asks
    return graph.definition.contracts.get(asked.id) if asked is not None and asked.is_capability else None


def keys_brought(graph: Graph, node: Node) -> tuple[frozenset[str], frozenset[str]] | None:
    """The keys that whatever the node is answered may bring, and those of them that always come; None: nobody knows."""
    contract = contract_of(graph, node)
    known = contract.brought("SUCCESS") if contract is not None else None
    if contract is None or known is None:
        return None
    may, must = known
    if isinstance(node, Requesting) and graph.error_goes_on(node):
        of_errors = keys_of_error(graph, node)
        return None if of_errors is None else (may | of_errors, must)
    return may, must


def keys_of_error(graph: Graph, node: Node) -> frozenset[str] | None:
    """The keys that an ERROR reply to the node may bring; None: nobody knows."""
    contract = contract_of(graph, node)
    if contract is None or (contract.brought("SUCCESS") is None and "ERROR" not in contract.replies):
        return None
    if "ERROR" not in contract.replies:
        return _OF_ERRORS
    known = contract.brought("ERROR")
    return None if known is None else _OF_ERRORS | known[0]


def answer_at(graph: Graph, node: Node, steps: Sequence[str]) -> tuple[Any, bool] | None:
    """The JSON Schema of what a SUCCESS writes at a path of the context, and whether it may leave the path alone.

    None if the contract says nothing of it.
    """
    contract, asked = contract_of(graph, node), node.asks
    schema = contract.replies.get("SUCCESS") if contract is not None else None
    if schema is None or asked is None:
        return None
    inside = steps if asked.output is None else _of_output(graph, asked.output, steps)
    if inside is None:
        return None
    found, absent = schema_at(schema, inside)
    if found is None:
        return None
    return found, absent or (isinstance(node, Requesting) and graph.error_goes_on(node))


def _of_output(graph: Graph, output: Mapping[str, Any], steps: Sequence[str]) -> tuple[str, ...] | None:
    """The path in the reply of what ``output`` writes at ``steps``; None if it is not plainly a path of the reply."""
    for key, value in output.items():
        written = read_path(key, graph.definition.reading_rules).steps
        found = _OF_REPLY.fullmatch(value) if isinstance(value, str) else None
        if found is not None and written == tuple(steps[: len(written)]):
            return (*found[1].removeprefix(".").split("."), *steps[len(written) :])
    return None


def start_by_contracts(definition: Definition) -> Mapping[str, Mapping[str, Any]]:
    """Key that a start must bring → how the first contract describes it to whose capability it is sent as it is."""
    found: dict[str, Mapping[str, Any]] = {}
    for asked in (node.asks for node in definition.nodes.values()):
        contract = definition.contracts.get(asked.id) if asked is not None else None
        if asked is None or contract is None or asked.input is not None:
            continue
        for key in definition.required:
            schema, _ = schema_at(contract.request, (key,))
            if isinstance(schema, Mapping) and (asked.sends is None or key in asked.sends):
                found.setdefault(key, schema)
    return found
