"""Findings: what ``validate``, ``publish`` and CI refuse or warn of, and what keeps no definition from being served.

The checks of :mod:`cch.graph.checks` decide what is served, and are never made stricter; new ones belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from cch.definition.contract import Contract
from cch.definition.document import Document, read_document
from cch.definition.kinds import Timed
from cch.definition.model import Definition
from cch.definition.names import is_reserved
from cch.definition.schema import embedded_schemas, schema_faults
from cch.dialects import OWN, Dialect
from cch.errors import DefinitionError, Problem
from cch.graph.agreements import broken_contracts
from cch.graph.build import build_graph
from cch.graph.checks import GRAPH_CHECKS, check_document, ordered
from cch.graph.expressed import items_outside
from cch.graph.forms import unfit_forms
from cch.graph.ignoring import NodeLines, without_ignored
from cch.graph.inputs import unknown_keys, unread_keys
from cch.graph.labels import dead_labels
from cch.graph.model import Graph
from cch.graph.possible import impossible_labels
from cch.graph.readings import bad_paths, bad_zones, other_readings
from cch.graph.repair import repaired
from cch.graph.statuses import overwritten_status
from cch.graph.structure import (
    crossed_maps,
    forgotten_branches,
    hot_handlers,
    loose_branches,
    reentered_branches,
    rival_waits,
    useless_ways,
)
from cch.graph.texts import library_calls, literal_templates, two_spellings
from cch.graph.times import odd_times
from cch.graph.types import wrong_types


def _reserved(document: Document) -> Iterator[Problem]:
    workflow_id = document.data.get("workflow_id")
    if isinstance(workflow_id, str) and is_reserved(workflow_id):
        message = f"workflow_id {workflow_id!r} is reserved for the platform's own DAGs"
        yield document.problem(("workflow_id",), "CCH-D028", message, "choose one that does not begin with cch_")


def _bad_schemas(document: Document) -> Iterator[Problem]:
    for path, schema in embedded_schemas(document):
        if isinstance(schema, Mapping | bool):  # else the definition's own schema says so
            yield from schema_faults(document, path, schema)


def _endless_waits(graph: Graph, document: Document) -> Iterator[Problem]:
    if graph.definition.timeout:
        return
    for name, node in graph.nodes.items():
        waits = isinstance(node, Timed) and node.effect == "waits" and node.timeout is None
        if waits and name in graph.reachable:
            yield document.problem(
                ("nodes", name), "CCH-G107", f"{name!r} may wait for ever",
                "give it a timeout, or the whole workflow one at the top", warning=True,
            )  # fmt: skip


#: What keeps a file from being looked at any further.
_OF_FILES = frozenset({"CCH-D001", "CCH-D002", "CCH-D003", "CCH-D004"})
#: What a way that is lost by another mistake may be the reason of.
_OF_WAYS = frozenset({"CCH-G002", "CCH-G003", "CCH-G004", "CCH-G013", "CCH-G101", "CCH-G102", "CCH-G104", "CCH-G109"})
#: What a join that forgets a branch is the reason of.
_OF_FORGOTTEN = frozenset({"CCH-G003", "CCH-G013", "CCH-G105"})
_OF_DOCUMENTS: tuple[Callable[[Document], Iterator[Problem]], ...] = (_reserved, _bad_schemas)
_OF_GRAPHS: tuple[Callable[[Graph, Document], Iterator[Problem]], ...] = (
    unknown_keys,
    unread_keys,
    broken_contracts,
    dead_labels,
    impossible_labels,
    wrong_types,
    loose_branches,
    forgotten_branches,
    hot_handlers,
    crossed_maps,
    reentered_branches,
    rival_waits,
    useless_ways,
    odd_times,
    literal_templates,
    library_calls,
    two_spellings,
    unfit_forms,
    bad_paths,
    bad_zones,
    items_outside,
    other_readings,
    _endless_waits,
    overwritten_status,
)


def examine(
    text: str, file: str = "", dialect: Dialect = OWN, contracts: Mapping[str, Contract] = MappingProxyType({})
) -> tuple[Definition | None, tuple[Problem, ...]]:
    """Everything that is wrong with one definition by the newest rules, and the definition if nothing is an error.

    ``dialect``: of a definition that names none. ``contracts``: by capability; the definition is returned with those of
    the capabilities that it asks. A mistake does not hide the others: what the schema does not allow is
    made whole first (:mod:`cch.graph.repair`).
    """
    try:
        document = read_document(text, file)
    except DefinitionError as error:
        return None, error.problems
    definition, checked = check_document(document)
    problems = [*checked, *document.findings, *(found for look in _OF_DOCUMENTS for found in look(document))]
    if definition is not None or not any(problem.code in _OF_FILES for problem in checked):
        problems += _of_graph(document, definition, dialect, contracts)
    problems = list(_without_consequences(problems))
    failed = definition is None or any(problem.severity == "error" for problem in problems)
    return None if failed or definition is None else definition.held_to(contracts), ordered(
        without_ignored(problems, document)
    )


def _without_consequences(problems: list[Problem]) -> Iterator[Problem]:
    """Without what another problem is the reason of."""
    codes = {problem.code for problem in problems}
    schemas = {problem.line for problem in problems if problem.code == "CCH-D027"}
    for problem in problems:
        of_forgotten = "CCH-G110" in codes and problem.code in _OF_FORGOTTEN
        if not of_forgotten and not (problem.code == "CCH-D026" and problem.line in schemas):
            yield problem


def _of_graph(
    document: Document, definition: Definition | None, dialect: Dialect, contracts: Mapping[str, Contract]
) -> Iterator[Problem]:
    def graph_of(parsed: Definition) -> Graph:
        return build_graph(parsed.in_dialect(parsed.dialect or dialect.name).held_to(contracts))

    if definition is not None:
        yield from _looked_at(document, graph_of(definition), _OF_GRAPHS)
        return
    whole = repaired(document)
    if whole is None:
        return
    lines = NodeLines(document)
    for problem in _looked_at(whole.document, graph_of(whole.definition), (*GRAPH_CHECKS, *_OF_GRAPHS)):
        is_consequence = problem.code in _OF_WAYS and not whole.is_whole
        if not is_consequence and lines.node_at(problem.line) not in whole.nodes:
            yield problem


def _looked_at(
    document: Document, graph: Graph, looks: Iterable[Callable[[Graph, Document], Iterator[Problem]]]
) -> Iterator[Problem]:
    for look in looks:
        yield from look(graph, document)


def _workflow_id(text: str, file: str) -> str:
    """The ``workflow_id`` of a definition that may have any errors; "" if none can be read."""
    try:
        document = read_document(text, file)
    except DefinitionError:
        return ""
    found = document.data.get("workflow_id")
    return found if isinstance(found, str) else ""


def check_all(
    files: Mapping[str, str],
    dialect: Dialect = OWN,
    *,
    tracks: bool = False,
    contracts: Mapping[str, Contract] = MappingProxyType({}),
) -> tuple[dict[str, Definition], tuple[Problem, ...]]:
    """Examine several definitions (file name → text) together.

    Two may share one ``workflow_id`` only if such files are ``tracks`` of it. Returns the good ones by file name.
    ``dialect``: of those that name none. ``contracts``: by capability.
    """
    good: dict[str, Definition] = {}
    problems: list[Problem] = []
    owner: dict[str, str] = {}
    for file, text in sorted(files.items()):
        definition, found = examine(text, file, dialect, contracts)
        problems.extend(found)
        workflow_id = definition.workflow_id if definition else _workflow_id(text, file)
        first = owner.setdefault(workflow_id, file) if workflow_id else file
        if first != file and not tracks:
            message = f"workflow_id {workflow_id!r} is already used by {first}"
            hint = "give one of them another id, or use --tracks if they are tracks of one workflow"
            problems.append(read_document(text, file).problem(("workflow_id",), "CCH-G007", message, hint))
        elif definition is not None:
            good[file] = definition
    return good, ordered(problems)
