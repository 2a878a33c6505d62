"""What differs between two versions, as people read it."""

from __future__ import annotations

from workflows import definition_text

from cch.definition.model import Definition
from cch.definition.reader import read_definition
from cch.graph.differences import Difference, difference, likely_renames

OLD = """
A: {type: async_request, capability_id: x#y, timeout: 1h, on_response: B, on_failure: E}
B: {type: set_state, static_outputs: {way: 1}, on_success: E}
E: {type: end}
"""


def compared(old: str, new: str, *, before: object = (), after: object = ()) -> Difference:
    return difference(
        read_definition(definition_text(old, initial_context=before)),
        read_definition(definition_text(new, initial_context=after)),
    )


def test_equal_versions_differ_in_nothing() -> None:
    """Also if the text has other places and comments."""
    assert compared(OLD, f"# a comment\n{OLD}").lines == []


def test_nodes_ways_and_keys_are_named() -> None:
    """Added, removed and changed; a way that leads elsewhere is no change of its node."""
    new = OLD.replace("B:", "C:").replace("on_response: B", "on_response: C").replace("1h", "2h")

    assert compared(OLD, new, before=["a", "b"], after={"b": {"type": "string"}, "c": True}).lines == [
        "+ node C",
        "- node B",
        "~ node A: timeout",
        "+ way A --on_response--> C",
        "+ way C --on_success--> E",
        "- way A --on_response--> B",
        "- way B --on_success--> E",
        "+ required key c",
        "- required key a",
        "~ required key b",
    ]


def test_an_id_that_changes_its_kind_is_changed() -> None:
    """Nothing else of it can be compared."""
    found = compared(
        OLD, OLD.replace("B: {type: set_state, static_outputs: {way: 1}", "B: {type: sync_call, capability_id: x")
    )

    assert found.changed == {"B": ("type",)}


def test_a_node_with_another_name_is_recognised() -> None:
    """If it is the only one that is the same in all but its names and its ways."""
    ask = "{{type: async_request, capability_id: x#{capability}, on_response: E}}\n"
    end = "E: {type: end}\n"

    def of(**capabilities: str) -> Definition:
        nodes = (f"{name}: {ask.format(capability=capability)}" for name, capability in capabilities.items())
        return read_definition(definition_text("".join([*nodes, end])))

    assert likely_renames(of(A="a", B="b"), of(Other="a", B="b")) == {"A": "Other"}
    assert likely_renames(of(A="a"), of(C="a", D="a")) == {}
    assert likely_renames(of(A="a", B="a"), of(C="a")) == {}
    assert likely_renames(of(A="a"), of(A="a", C="a")) == {}
