"""What mending would do to an instance: going back to a node, deciding about one, adding to the context. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from cch.definition.json_schemas import misfits
from cch.definition.kinds import Requesting
from cch.graph.regions import carriers
from cch.interpreter.amendments import Amendments
from cch.interpreter.flow import Ready, TokenFlow
from cch.interpreter.outcome import Outcome
from cch.interpreter.region import outcome_of
from cch.interpreter.replay import has_failed
from cch.interpreter.visit import Result, failure
from cch.ledger.messages import ATTACHABLE
from cch.ledger.records import MessageRecord, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.runtime.decisions import Decision, Todo
from cch.runtime.standing_still import RefusedChangeError, Standing

#: completed: the node has done its work, with this payload. skipped: it is passed by. failed: it has failed.
Verdict = Literal["completed", "skipped", "failed"]
#: The ways by which nodes go on when all went well.
_GOOD = ("on_response", "on_event", "on_success")


def plan_retry(
    standing: Standing, node: str, visit: int | None = None, *, adopt: MessageRecord | None = None
) -> Decision[None]:
    """Go back to a visit of a node (the latest, if none is named): it begins anew, and what came after does not count.

    ``adopt``: a reply that found nobody, and answers what the node asks then.

    :raises RefusedChangeError: there is no such visit at the root of the instance, or the reply is not for it.
    """
    flow = _flow(standing)
    before = tuple(flow.positions)
    if adopt is not None:
        _check_adopted(standing, node, adopt)
    gone: set[str] = set()
    if node in before and visit is None:
        _check_idle(standing, node, adopted=adopt is not None)
    else:
        gone = with_followers(flow, {_visit(standing, flow, node, visit).id})
    decision = dropping(standing, flow, gone, before)
    return decision if adopt is None else replace(decision, todo=replace(decision.todo, adopt=(adopt.key,)))


def dropping(standing: Standing, flow: TokenFlow, gone: set[str], before: tuple[str, ...]) -> Decision[None]:
    """These visits of the root do not count any more."""
    todo, amendments = _dropped(standing, gone)
    after = _after(standing, amendments, gone, ())
    todo = _superseding(todo, standing, flow, after)
    return Decision(amendments=amendments, todo=todo, said=None, before=before, after=tuple(after.positions))


def _check_idle(standing: Standing, node: str, *, adopted: bool) -> None:
    """:raises RefusedChangeError: the node waits for somebody."""
    now = standing.view.instance.amendments.now
    if any(now(item.node) == node and item.made_by[0].is_root for item in standing.items):
        raise RefusedChangeError(f"{node!r} is under way: retry one of its items, by its key")
    open_: list[RequestRecord | WaitRecord] = [*standing.requests, *standing.waits]
    if any(now(each.node) == node and each.scope.is_root for each in open_):
        instead = "attach the message to its open request" if adopted else "there is nothing to go back to"
        raise RefusedChangeError(f"{node!r} is under way: {instead}")


def _check_adopted(standing: Standing, name: str, message: MessageRecord) -> None:
    """:raises RefusedChangeError: the message cannot be the answer to what the node asks."""
    node = standing.plan.graph.nodes.get(name)
    if node is None:
        raise RefusedChangeError(f"its definition has no node {name!r}")
    if not isinstance(node, Requesting):
        raise RefusedChangeError(f"{name!r} asks nobody: it is a {node.type}")
    if message.kind != "ASYNC_RESP":
        raise RefusedChangeError("the message is no reply")
    if message.fate not in ATTACHABLE:
        raise RefusedChangeError(f"the message is {message.fate}: only {', '.join(ATTACHABLE)} ones are free")
    if message.instance != standing.view.instance.id or message.branch:
        whose = message.instance + (f", branch {message.branch}" if message.branch else "")
        raise RefusedChangeError(f"the message is for {whose or 'no instance'}")
    if message.source != node.capability_id:
        raise RefusedChangeError(f"the message is from {message.source}, and {name!r} asks {node.capability_id}")


def plan_verdict(
    standing: Standing, node: str, verdict: Verdict, *, by: str, now: int, reason: str = "", edge: str = "",
    payload: Mapping[str, Any] | None = None,
) -> Decision[None]:  # fmt: skip
    """Decide about a node that waits, is about to begin, or has failed. ``now`` in ms.

    ``edge``: the way that it takes; by default the one for success. ``payload``: what it writes.

    :raises RefusedChangeError: the node is none of these, has no such way, or does not write such a payload.
    """
    flow = _flow(standing)
    before, graph = tuple(flow.positions), standing.plan.graph
    if node not in graph.nodes:
        raise RefusedChangeError(f"its definition has no node {node!r}")
    ready = next((each for each in flow.ready() if each.node == node), None)
    gone: set[str] = set()
    if ready is None:
        failed = _visit(standing, flow, node, None)
        if not has_failed(failed):
            raise RefusedChangeError(f"{node!r} neither waits nor has failed: retry it, if it is to be decided anew")
        gone = with_followers(flow, {failed.id})
        ready = Ready(node=node, parents=failed.parents, visit=failed.visit)
    elif graph.nodes[node].effect == "instant" or node in graph.maps:
        raise RefusedChangeError(f"{node!r} waits for nobody: there is nothing to decide")
    result = _result(standing, node, verdict, edge, payload or {}, by=by, reason=reason)
    stamp = flow.stamp(ready.parents, now)
    outcome = outcome_of(graph, ready, result, stamp, stamp)
    todo, amendments = _dropped(standing, gone)
    region = amendments.recorded(carriers(standing.plan.regions)[node])
    after = _after(standing, amendments, gone, [outcome])
    # What the node has asked for is not waited for; and its region goes on behind it.
    todo = _superseding(todo, standing, flow, after, node)
    todo = replace(todo, write={region: (outcome,)}, again=_again(standing, after))
    return Decision(amendments=amendments, todo=todo, said=None, before=before, after=tuple(after.positions))


def plan_patch(standing: Standing, patch: Mapping[str, Any], nodes: Sequence[str] = ()) -> Decision[None]:
    """Add to what the nodes know that have not begun, or wait. ``nodes``: where, if tokens are at several.

    Requests that were sent keep their bodies; one that was not yet sent is made anew.

    :raises RefusedChangeError: there is no such node, several and none is named, or the patch breaks a schema.
    """
    flow = _flow(standing)
    positions = tuple(flow.positions)
    if unknown := [name for name in nodes if name not in positions]:
        raise RefusedChangeError(
            f"no token is at {', '.join(unknown)}: it stands at {', '.join(positions) or 'no node'}"
        )
    if len(positions) > 1 and not nodes:
        raise RefusedChangeError(f"it stands at {', '.join(positions)}: name those that are to know of it")
    if not patch:
        raise RefusedChangeError("there is nothing to add")
    _check_patch(standing, patch)
    chosen = nodes or positions
    tokens = [(token.source, token.target) for token in flow.tokens if token.target in chosen]
    amendments = standing.view.instance.amendments.patched(patch, tokens)
    unsent = tuple(request.command_id for request in standing.requests if not request.sent_at)
    todo = Todo(supersede=unsent)
    return Decision(amendments=amendments, todo=todo, said=None, before=positions, after=positions)


def _check_patch(standing: Standing, patch: Mapping[str, Any]) -> None:
    """:raises RefusedChangeError: a key that a start must bring would not fit its schema."""
    if private := [key for key in patch if key.startswith("_")]:
        raise RefusedChangeError(f"{', '.join(private)} is the program's own")
    required = standing.plan.graph.definition.required
    for key, value in patch.items():
        schema = required.get(key, True)
        if schema is not True:
            for _, message in misfits(schema, value):
                raise RefusedChangeError(f"{key!r}: {message[:200]}")


def _flow(standing: Standing) -> TokenFlow:
    flow = standing.flow(standing.plan, standing.view.instance.amendments)
    flow.ready()
    return flow


def _visit(standing: Standing, flow: TokenFlow, node: str, number: int | None) -> Outcome:
    """:raises RefusedChangeError: the root has recorded no such visit."""
    if node not in standing.plan.graph.nodes:
        raise RefusedChangeError(f"its definition has no node {node!r}")
    if (found := visit_of(flow, node, number)) is not None:
        return found
    visits = sorted(each.visit for each in flow.outcomes.values() if each.node == node)
    if node in flow.positions:
        raise RefusedChangeError(f"{node!r} is under way: there is nothing to go back to")
    if visits:
        raise RefusedChangeError(f"{node!r} has no visit {number}: the latest is {visits[-1]}")
    if standing.items:
        raise RefusedChangeError(f"the instance itself has not visited {node!r}: of an item of a map, name the item")
    raise RefusedChangeError(f"the instance has not visited {node!r}")


def visit_of(flow: TokenFlow, node: str, number: int | None) -> Outcome | None:
    """A visit of a node (the latest, if none is named); None if there is no such visit."""
    visits = sorted((each for each in flow.outcomes.values() if each.node == node), key=lambda each: each.visit)
    found = [each for each in visits if number in (None, each.visit)]
    return found[-1] if found else None


def with_followers(flow: TokenFlow, chosen: set[str]) -> set[str]:
    """These outcomes and all that have come of them."""
    gone = set(chosen)
    for outcome in sorted(flow.outcomes.values(), key=lambda each: (each.stamp, each.node, each.visit)):
        if gone & set(outcome.parents):
            gone.add(outcome.id)
    return gone


def _dropped(standing: Standing, gone: set[str]) -> tuple[Todo, Amendments]:
    """The visits to be set aside, by region; an amendment even if there is none, because it counts the changes."""
    amendments = standing.view.instance.amendments
    drop: dict[str, dict[str, int]] = {}
    for region, outcomes in standing.recorded():
        for outcome in outcomes:
            if amendments.read(outcome).id in gone:
                drop.setdefault(region, {})[outcome.id] = int(outcome.cause.get("attempt", 0))
    return Todo(drop=drop), amendments.counted()


def _after(standing: Standing, amendments: Amendments, gone: set[str], new: Iterable[Outcome]) -> TokenFlow:
    """:raises RefusedChangeError: nothing would be left to do, and it would have failed."""
    plan, context = standing.plan, standing.view.instance.context
    flow = TokenFlow(plan.graph, plan.domains, context, amendments=amendments)
    kept = [outcome for outcome in standing.outcomes if amendments.read(outcome).id not in gone]
    flow.apply_all([*kept, *new])
    flow.ready()
    return flow


def _again(standing: Standing, flow: TokenFlow) -> tuple[str, ...]:
    """Regions that have left and have something to do again."""
    left = {exit_.region for exit_ in standing.view.exits}
    ready = {each.node for each in flow.ready()}
    recorded = standing.view.instance.amendments.recorded
    regions = standing.plan.regions.items()
    return tuple(recorded(head) for head, region in regions if recorded(head) in left and ready & set(region.nodes))


def _superseding(todo: Todo, standing: Standing, before: TokenFlow, after: TokenFlow, decided: str = "") -> Todo:
    """With what nobody waits for then: of nodes without a token, of the one that is decided, of regions begun anew."""
    now, recorded = standing.view.instance.amendments.now, standing.view.instance.amendments.recorded
    carrier = carriers(standing.plan.regions)
    here = {each.node for each in after.ready()} & set(before.positions)

    def is_gone(record: RequestRecord | WaitRecord) -> bool:
        node = now(record.node)
        region = record.region if isinstance(record, RequestRecord) else recorded(carrier.get(node, ""))
        return region in todo.drop or (record.scope.is_root and (node not in here or node == decided))

    return replace(
        todo,
        supersede=tuple(each.command_id for each in standing.requests if is_gone(each)),
        supersede_waits=tuple(each.id for each in standing.waits if is_gone(each)),
    )


def _result(
    standing: Standing, name: str, verdict: Verdict, edge: str, payload: Mapping[str, Any], *, by: str, reason: str
) -> Result:
    graph = standing.plan.graph
    node = graph.nodes[name]
    ways = list(dict.fromkeys(each.label for each in graph.outgoing(name)))
    if edge and edge not in ways:
        raise RefusedChangeError(f"{name!r} has no way {edge!r}: it has {', '.join(ways) or 'none'}")
    cause = {"kind": "person", "verdict": verdict, "by": by, "reason": reason}
    if verdict == "failed":
        said = f"decided by {by}" + (f": {reason}" if reason else "")
        return failure(graph, node, said, label=edge or "on_failure", cause=cause, code="DECIDED")
    if verdict == "completed" and node.form is not None:
        for _, message in misfits(node.form, payload):
            raise RefusedChangeError(f"the payload does not fit {name!r}: {message[:200]}")
    written = dict(payload) if verdict == "completed" else {}
    if isinstance(node, Requesting) and verdict == "completed":
        written.setdefault("status", "SUCCESS")
    return Result(label=edge or next((way for way in _GOOD if way in ways), ""), patch=written, cause=cause)
