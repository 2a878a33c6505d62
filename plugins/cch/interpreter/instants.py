"""What each type of instant node does: one function a type, found by :func:`evaluate`."""

from __future__ import annotations

import functools

from cch.counting import counted
from cch.definition.dates import iso
from cch.definition.kinds import BRANCH_END, NodeRecord
from cch.definition.nodes import OTHERWISE, Condition, End, EndBranch, Entry, Fork, Join, LogError, SetState
from cch.errors import GraphError
from cch.expressions.expression import FailedError
from cch.graph.model import FORKED
from cch.interpreter.context import MISSING, PathError, as_text, python_text, read_path
from cch.interpreter.expressing import EXPRESSION_CODE, value_of
from cch.interpreter.visit import Result, Visit, failure, written


@functools.singledispatch
def evaluate(node: NodeRecord, visit: Visit) -> Result:  # noqa: ARG001
    """Run an instant node.

    :raises GraphError: the node is not instant.
    """
    raise GraphError(f"{node.name!r} is no instant node")


@evaluate.register
def _entry(node: Entry, visit: Visit) -> Result:  # noqa: ARG001
    return Result(label="next")


@evaluate.register
def _set_state(node: SetState, visit: Visit) -> Result:
    try:
        outputs = value_of(visit, node.outputs)
    except FailedError as error:
        return failure(visit.graph, node, str(error), code=EXPRESSION_CODE)
    return written(node, visit, Result(label="on_success", patch={**node.static_outputs, **outputs}))


@evaluate.register
def _fork(node: Fork, visit: Visit) -> Result:  # noqa: ARG001
    return Result(label=FORKED)


@evaluate.register
def _end_branch(node: EndBranch, visit: Visit) -> Result:  # noqa: ARG001
    return Result(label=BRANCH_END)


@evaluate.register
def _end(node: End, visit: Visit) -> Result:
    return written(node, visit, Result(failed=node.status == "failed", patch=node.static_outputs))


@evaluate.register
def _log_error(node: LogError, visit: Visit) -> Result:
    text = node.default_message
    if node.message_from_context_key:
        found = visit.look_up(node.message_from_context_key)
        if found is not MISSING and found is not None:
            text = as_text(found)
    error = {"code": node.default_error_code, "message": text, "node": node.name, "timestamp": iso(visit.now)}
    return Result(label="on_success", errors=(error,))


@evaluate.register
def _join(node: Join, visit: Visit) -> Result:
    if visit.failed_items:
        named = "; ".join(f"{key}: {reason}" for key, reason in list(visit.failed_items.items())[:5])
        return failure(visit.graph, node, f"{counted(len(visit.failed_items), 'item')} failed: {named}")
    if node.destination is None:
        return Result(label="on_success")
    maps = visit.graph.maps
    joined = [maps[name] for name in node.join_branches if name in maps]
    lists = [found for each in joined if isinstance(found := visit.look_up(each.results_at), list)]
    results = [item for found in lists for item in found]
    try:
        patch = read_path(node.destination, visit.rules).patch(visit.context, results)
    except PathError as error:
        return failure(visit.graph, node, str(error))
    return Result(label="on_success", patch=patch)


@evaluate.register
def _condition(node: Condition, visit: Visit) -> Result:
    if node.condition_on_key is None:
        return _chosen(node, visit)
    value = visit.look_up(node.condition_on_key)
    text = as_text(value)
    others = (python_text(value),) if visit.dialect.python_labels else ()
    for branch in (text, *others, OTHERWISE):
        if branch in node.branches:
            return Result(label=branch)
    known = ", ".join(sorted(node.branches))
    reason = f"{node.condition_on_key} is {text[:200]!r}, which no branch of {node.name!r} names (branches: {known})"
    return failure(visit.graph, node, reason)


def _chosen(node: Condition, visit: Visit) -> Result:
    for number, choice in enumerate(node.choices, 1):
        try:
            value = value_of(visit, choice.when)
        except FailedError as error:
            return failure(visit.graph, node, str(error), code=EXPRESSION_CODE)
        if value is True:
            return Result(label=choice.next)
        if value is not False:
            found = "nothing: a key that it reads is missing" if value is MISSING else as_text(value)[:200]
            reason = f"choice {number} of {node.name!r} ({choice.when.strip()}) is neither true nor false, but {found}"
            return failure(visit.graph, node, reason, code=EXPRESSION_CODE)
    if node.default is not None:
        return Result(label=OTHERWISE)
    return failure(visit.graph, node, f"no choice of {node.name!r} is true, and it has no default")
