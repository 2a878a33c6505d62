"""The versions of a workflow: numbers, labels and shares; on both tables."""

from __future__ import annotations

import pytest

from cch.errors import WrongUseError
from cch.ledger.store import ItemStore
from cch.ledger.versions import HookReport, Pinning, PublishedMeanwhileError, Share, Shelf, Versions

A, B, C = "a1" * 32, "a2" * 32, "c0" * 32


async def shelf_of(versions: Versions, *digests: str) -> Shelf:
    for digest in digests:
        await versions.add(await versions.shelf("w"), digest, 1000)
    return await versions.shelf("w")


async def test_versions_are_numbered_in_the_order_in_which_they_come(store: ItemStore) -> None:
    """Each keeps its number when it comes again, and other workflows have numbers of their own."""
    versions = Versions(store)

    shelf = await shelf_of(versions, A, B, A)
    other = await versions.add(await versions.shelf("other"), A, 5, publisher="ada", note="first")

    assert [(each.number, each.digest) for each in shelf.versions] == [(1, A), (2, B)]
    assert (other.number, other.publisher, other.note) == (1, "ada", "first")


async def test_the_second_of_two_publishers_is_told(store: ItemStore) -> None:
    """Both have seen the same versions; whoever insists on being alone gets no number."""
    versions = Versions(store)
    seen = await shelf_of(versions, A)

    first = await versions.add(seen, B, 2000, alone=True)
    with pytest.raises(PublishedMeanwhileError, match="version 2 of w was published by somebody else"):
        await versions.add(seen, C, 2000, alone=True)
    again = await versions.add(seen, B, 3000, alone=True)
    start = await versions.add(seen, C, 3000)

    assert (first.number, again.number, again.since, start.number) == (2, 2, 2000, 3)


@pytest.mark.parametrize(
    ("name", "number"), [("1", 1), ("2", 2), ("@stable", 2), ("stable", 2), (A, 1), (A[:4], 1), (C[:5], 3)]
)
async def test_a_name_leads_to_one_version(store: ItemStore, name: str, number: int) -> None:
    """A number, a label, or the beginning of a digest."""
    versions = Versions(store)
    await shelf_of(versions, A, B, C)
    await versions.set_label("w", "stable", B)

    assert (await versions.shelf("w")).named(name).number == number


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("4", "has no version '4': it has 1 to 3"),
        ("@next", "has no label @next; its labels: @lost, @stable"),
        ("@lost", "leads to no version"),
        ("a", "has no version 'a'"),
        ("ffff", "has no version 'ffff'"),
        ("", "has no version"),
        ("1" * 5000, "has no version"),
        ("x\x00", "has no version"),
    ],
)
async def test_a_name_that_leads_nowhere_says_what_there_is(store: ItemStore, name: str, words: str) -> None:
    """Whoever reads it knows what to write instead."""
    versions = Versions(store)
    await shelf_of(versions, A, B, C)
    await versions.set_label("w", "stable", B)
    await versions.set_label("w", "lost", "0" * 64)
    shelf = await versions.shelf("w")

    with pytest.raises(WrongUseError) as caught:
        shelf.named(name)

    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_a_beginning_of_several_digests_names_none(store: ItemStore) -> None:
    """The numbers of those that it fits are named."""
    shelf = await shelf_of(Versions(store), "abcd" + "0" * 60, "abcd" + "1" * 60)

    with pytest.raises(WrongUseError, match="several versions of w: 1, 2"):
        shelf.named("abcd")


@pytest.mark.parametrize("label", ["", "1", "a b", "@stable", "x" * 41, "ä", "a/b"])
async def test_a_label_that_could_be_taken_for_something_else_is_refused(store: ItemStore, label: str) -> None:
    """A number, an address, or what no command line takes."""
    with pytest.raises(WrongUseError, match="cannot be a label"):
        await Versions(store).set_label("w", label, A)


async def test_a_label_and_a_share_can_be_taken_away(store: ItemStore) -> None:
    """Then they are as if they had never been."""
    versions = Versions(store)
    await shelf_of(versions, A)
    await versions.set_label("w", "stable", A)
    await versions.set_share("w", Share(digest=A, percent=12.5))
    full = await versions.shelf("w")

    await versions.remove_label("w", "stable")
    await versions.set_share("w", None)
    empty = await versions.shelf("w")

    assert (full.labels_of(A), full.share) == (["stable"], Share(digest=A, percent=12.5))
    assert (empty.labels, empty.share) == ({}, None)


async def test_the_latest_report_of_pinning_counts(store: ItemStore) -> None:
    """Nobody has reported, at first."""
    versions = Versions(store)
    before = await versions.pinning()

    await versions.report_pinning(Pinning(pins=False, seen=1, reason="why"))
    await versions.report_pinning(Pinning(pins=True, seen=2))
    without = await versions.pinning()
    hooks = HookReport(airflow="3.3.2", of="-", asked=3, reasons={"portals": "it is another", "pinning": ""})
    await versions.report_pinning(Pinning(pins=True, seen=4, hooks=hooks))

    assert before is None
    assert without == Pinning(pins=True, seen=2)
    assert await versions.pinning() == Pinning(pins=True, seen=4, hooks=hooks)
