"""What the expressions of a node see, and what they make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cch.definition.dates import iso
from cch.definition.kinds import Requesting
from cch.expressions.expression import evaluated
from cch.expressions.matching import Match
from cch.interpreter.context import selected
from cch.values import MISSING

if TYPE_CHECKING:
    from cch.definition.nodes import SyncCall
    from cch.interpreter.visit import Visit

#: Code of a failure that an expression is the reason of.
EXPRESSION_CODE = "EXPRESSION"


def value_of(visit: Visit, value: Any, **more: Any) -> Any:
    """``value`` of the definition with its expressions evaluated; ``more`` are the names that have a value here.

    What matches nothing is left out of its mapping or list; :data:`~cch.values.MISSING` if that is ``value`` itself.

    :raises FailedError: an expression cannot be evaluated.
    """
    return evaluated(value, selected(visit.context, None), {**names_of(visit), **more})


def match_of(visit: Visit, text: str) -> Match:
    """The expression with what it reads, as it is stored with the wait.

    :raises MatchError: it cannot be.
    """
    return Match.of(text, selected(visit.context, None), names_of(visit))


def names_of(visit: Visit) -> dict[str, Any]:
    """The values of the names that every expression may use, as far as they have one."""
    names = {"instance": visit.instance.as_json(), "now": iso(visit.moment)}
    if visit.item is not MISSING:
        names["item"] = visit.item
    if "_internalError" in visit.context:
        names["error"] = {
            "code": visit.context.get("_errorCode") or "FAILED",
            "message": visit.context["_internalError"],
            "node": visit.context.get("_errorNode"),
        }
    return names


def sent(node: Requesting | SyncCall, visit: Visit) -> dict[str, Any]:
    """The context that a node sends to its capability; in some dialects also the keys of the map's item that asks.

    :raises FailedError: an expression cannot be evaluated.
    """
    if node.input is not None:
        return value_of(visit, node.input)  # type: ignore[no-any-return]
    asks = isinstance(node, Requesting)
    flat = {key: value for key, value in visit.flat_item.items() if asks and not key.startswith("_")}
    return {**flat, **selected({**visit.context, **flat}, node.input_keys, visit.rules)}
