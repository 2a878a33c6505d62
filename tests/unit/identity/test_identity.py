"""Identities: two different things never have the same text, whatever characters names and keys hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.envelope import parse_command, routing_hint
from cch.identity import (
    NEWEST_SCHEME,
    ROOT,
    Address,
    Box,
    ItemStep,
    Scope,
    Step,
    UnknownSchemeError,
    branch_text,
    event_identity,
    map_key,
    require_known,
)

#: Characters that structure paths and keys are frequent, so that a text that is ambiguous is found.
texts = st.one_of(
    st.text(st.sampled_from("/#@[]%-p1=~\nü"), min_size=1, max_size=6),
    st.sampled_from(["-", "p]/Lines#1@0[l", "%2D", "[-]", "task", "M#000001", "true", "Zollsatz prüfen"]),
)
steps = st.builds(ItemStep, texts, st.integers(1, 12), st.one_of(st.none(), st.integers(0, 11)), texts)
ways = st.lists(steps, max_size=3)


def scope_of(way: list[ItemStep]) -> Scope:
    scope = ROOT
    for step in way:
        scope = scope.item(step)
    return scope


@given(ways)
def test_a_scope_is_read_back_as_it_was_written(way: list[ItemStep]) -> None:
    """The path is the whole identity: steps, parents and branch keys come out of its text."""
    scope = scope_of(way)

    assert scope.steps == tuple(way)
    assert scope.branch_path("") == tuple(step.branch for step in way)
    assert scope.depth == len(way)
    if way:
        assert scope.parent(way[-1].map, way[-1].branch) == (scope_of(way[:-1]), way[-1])


@given(ways, ways)
def test_two_scopes_have_two_texts(one: list[ItemStep], other: list[ItemStep]) -> None:
    """Items of nested maps too, and items whose keys look like steps of a path."""
    assert (scope_of(one) == scope_of(other)) == (one == other)
    assert (scope_of(one).digest == scope_of(other).digest) == (one == other)


step_parts = st.fixed_dictionaries(
    {
        "instance": st.sampled_from(["i", "j"]), "region": texts, "way": ways, "generation": st.integers(0, 2),
        "node": texts, "visit": st.integers(1, 12),
    }
)  # fmt: skip


def step_of(way: list[ItemStep], **parts: object) -> Step:
    return Step(scheme=NEWEST_SCHEME, scope=scope_of(way), **parts)  # type: ignore[arg-type]


@given(step_parts, step_parts, st.integers(1, 3), st.integers(1, 3))
def test_two_steps_have_two_ids_and_two_keys(one: dict, other: dict, attempt: int, again: int) -> None:  # type: ignore[type-arg]
    """Scope, generation and visit count; the attempt counts for the command, and for the key only if it is asked to."""
    first, second = step_of(**one), step_of(**other)

    assert (first.command_id(attempt) == second.command_id(again)) == (one == other and attempt == again)
    assert (first.keys(attempt) == second.keys(again)) == (one == other)
    own = [step.keys(number, per_attempt=True) for step, number in ((first, attempt), (second, again))]
    assert (own[0] == own[1]) == (one == other and attempt == again)
    assert own[0] != first.keys(attempt)


@given(step_parts, st.sampled_from([1, 2]))
def test_a_key_fits_into_a_header(parts: dict, scheme: int) -> None:  # type: ignore[type-arg]
    """Whatever the nodes are called: printable ASCII, and not longer than services take."""
    keys = replace(step_of(**parts), scheme=scheme).keys(3, call=True)

    assert re.fullmatch(r"[\x20-\x7e]{1,255}", keys.header)
    assert scheme == 1 or keys.request == keys.header


def test_the_first_scheme_stays_what_it_was() -> None:
    """Instances that began under it end under it: their capabilities remember these texts."""
    scope = ROOT.item(ItemStep("M#x", 2, 0, "a/b"), 1).item(ItemStep("N", 1, None, "-"), 1)
    step = Step(scheme=1, instance="i", region="R", scope=scope, generation=0, node="A", visit=3, branch="-")

    assert scope.text == "/M#x#2@0[a/b]/N#1@task[-]"
    assert scope.parent("N", "-") == (Scope("/M#x#2@0[a/b]"), ItemStep("N", 1, None, "-"))
    assert step.keys(2).request == "i/-/A/3"
    assert step.keys(2, call=True) == ("i/A/3", "i/A/3/2")
    assert Box("i", "-", 1).key == Box("i", "", 1).key == "BOX#i#-"
    assert event_identity("a#b", "c", 1) == "EID#a#b#c"


@given(texts, texts)
def test_two_branches_have_two_boxes(one: str, other: str) -> None:
    """The key - is not the instance itself."""
    assert (Box("i", one).key == Box("i", other).key) == (one == other)
    assert Box("i", one).key != Box("i").key


@given(texts, texts, texts, texts)
def test_two_events_have_two_identities(source: str, event: str, other: str, another: str) -> None:
    """A source may hold what separates it from the id."""
    same = event_identity(source, event, 2) == event_identity(other, another, 2)

    assert same == ((source, event) == (other, another))


@given(texts, texts, st.integers(1, 9), st.integers(1, 9))
def test_the_keys_of_two_maps_begin_differently(one: str, other: str, visit: int, again: int) -> None:
    """A map whose name looks like another one with its visit does not show that one's items."""
    first, second = f"{map_key(ROOT, one, 2)}{visit:06d}#", f"{map_key(ROOT, other, 2)}{again:06d}#"

    assert (first == second) == ((one, visit) == (other, again))
    assert one == other or not second.startswith(map_key(ROOT, one, 2))


@given(ways)
def test_the_way_to_an_item_is_found_again(way: list[ItemStep]) -> None:
    """From the root on, through each map, with the keys that its list has."""
    scope, target = ROOT, scope_of(way)
    for step in way:
        assert scope.map_towards(target) == (step.map, step.visit)
        entered = scope.towards(target, ["other", step.branch])
        assert entered is not None
        scope, branch = entered
        assert branch == step.branch
    assert scope == target
    assert scope.map_towards(target) is None


@pytest.mark.parametrize("text", ["2/", "2/M#1@0[a", "2/M#x@0[a]", "2/M#1@0[a]b", "1x/M#1@0[a]", "2/M#1@0[a[]"])
def test_what_is_no_path_is_refused(text: str) -> None:
    """A damaged text is an error, not another scope."""
    with pytest.raises(ValueError, match="no (path|step)"):
        _ = Scope(text).steps


def test_a_later_scheme_is_left_alone() -> None:
    """This release cannot know what it means."""
    require_known(1, "i")
    require_known(2, "i")
    for scheme in (0, 3):
        with pytest.raises(UnknownSchemeError, match="left alone"):
            require_known(scheme, "i")
    with pytest.raises(UnknownSchemeError):
        _ = Scope("3/M#1@0[a]").steps


@given(st.lists(texts, max_size=3))
def test_an_address_survives_a_message(path: list[str]) -> None:
    """What a request says of its item, a reply that repeats it says again."""
    body = {
        "workflowInstanceId": "i",
        "command": {
            "type": "ASYNC_RESP", "id": "r", "source": "a", "timestamp": "2026-01-05T08:00:00Z", "payload": {},
            **routing_hint(Address(tuple(path))),
        },
    }  # fmt: skip

    address = parse_command(json.dumps(body)).address

    assert address.path == tuple(path)
    assert address.fits(tuple(path))
    assert not address.fits((*path, "more"))


def test_a_single_key_fits_at_every_depth() -> None:
    """It is the item's own; the instance itself has none."""
    own = Address.of_key("1")

    assert own.meant([("1",), ("A", "1"), ("B", "1"), ("1", "2"), ()]) == {("1",), ("A", "1"), ("B", "1")}
    assert Address.of_key("").fits(())
    assert not Address.of_key("").fits(("1",))


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (1, "1"), (1.5, "1.5"), ("True", "True"), (None, "null")])
def test_a_branch_key_reads_the_same_everywhere(value: object, text: str) -> None:
    """In the list of a map and in a routing hint."""
    assert branch_text(value) == text
