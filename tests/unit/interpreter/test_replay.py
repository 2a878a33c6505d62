"""What a journal says, whoever reads it."""

from __future__ import annotations

from cch.definition.reader import read_definition
from cch.graph.build import build_graph
from cch.identity import ROOT, ItemStep
from cch.interpreter.outcome import Outcome
from cch.interpreter.replay import JournalEntry, has_failed, replay
from cch.ledger.records import MapItem, RegionKey
from cch.runtime.items import ItemStates

TEXT = """
workflow_id: items
workflow_name: Items
entry_point: Fan
nodes:
  Fan: {type: map_fork, input_list_key: items, branch_key: id, branch_entry_node: Call}
  Call: {type: sync_call, capability_id: a#b, on_success: Ask, on_failure: Ask}
  Ask: {type: async_request, capability_id: a#c, on_response: Out, on_failure: Out}
  Out: {type: end_branch}
  All: {type: join, join_branches: [Fan], on_success: Done}
  Done: {type: end}
"""
ITEM = MapItem(
    node="Fan", index=0, branch="1",
    key=RegionKey(instance="i", region="Fan", scope=ROOT.item(ItemStep("Fan", 1, 0, "1"))),
)  # fmt: skip


def outcome(node: str = "A", visit: int = 1, **changes: object) -> Outcome:
    return Outcome(node=node, visit=visit, stamp=10, started=5, **changes)  # type: ignore[arg-type]


def entry(kind: str, **changes: object) -> JournalEntry:
    given = {"kind": kind, "task_instance": "t", "generation": 0, **changes}
    return JournalEntry(**given)  # type: ignore[arg-type]


def test_a_try_that_continues_drops_what_failed() -> None:
    """What succeeded stays; the attempts that were used are remembered."""
    state = replay(
        [
            entry("try", mode="first"),
            entry("turn", outcomes=(outcome("A"), outcome("B", failed=True))),
            entry("try", mode="continue", task_instance="u", dropped={"B#1": 3}),
        ]
    )

    assert (list(state.outcomes), state.dropped, state.entries, state.task_instance) == (["A#1"], {"B#1": 3}, 3, "u")


def test_a_fresh_try_begins_with_nothing() -> None:
    """Earlier outcomes and used attempts belong to the generation before."""
    state = replay(
        [
            entry("turn", outcomes=(outcome("A"),)),
            entry("try", mode="continue", dropped={"A#1": 1}),
            entry("try", mode="fresh", generation=1),
            entry("turn", generation=1, outcomes=(outcome("C"),)),
        ]
    )

    assert (list(state.outcomes), state.dropped, state.generation) == (["C#1"], {}, 1)
    assert [each.id for each in state.latest] == ["C#1"]


def test_an_item_with_nothing_open_stands_where_its_journal_says() -> None:
    """A handled failure is a failure of its node, and the node that holds the token waits; nobody says otherwise."""
    call = outcome("Call", label="on_failure", targets=("Ask",), patch={"_errorNode": "Call", "_internalError": "no"})
    journal = replay([entry("try", mode="first"), entry("turn", outcomes=(call,))])
    graph = build_graph(read_definition(TEXT))

    stand = ItemStates(graph, ended=False).item(ITEM, journal)
    ended = ItemStates(graph, ended=True).item(ITEM, journal)

    assert has_failed(call)
    assert (stand.state, dict(stand.nodes), stand.at) == ("WAITING", {"Call": "FAILED", "Ask": "WAITING"}, ("Ask",))
    assert (ended.state, ended.nodes["Ask"]) == ("SKIPPED", "SKIPPED")
