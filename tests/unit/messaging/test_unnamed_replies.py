"""Replies that name nobody, in the dialect of the first implementation: no id, no branch, a source of free text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_router import Office, reply

from cch.dialects import LAMBDA_ORCHESTRATOR, OWN
from cch.identity import ROOT, ItemStep
from cch.ledger.records import RegionKey, RequestState

CAPABILITIES = frozenset({"cap#it", "other#it"})
SOURCE = "the enrichment team's service"


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.instance(dialect=LAMBDA_ORCHESTRATOR.name, capabilities=CAPABILITIES)
    return made


async def branch_of(office: Office, key: str) -> dict[str, Any]:
    """What a request of a map's item has, and the note of the item by which its box is found."""
    scope = ROOT.item(ItemStep("M", 1, 0, key), 2)
    await office.ledger.maps.put_scope(RegionKey(instance="i", region="M", scope=scope), "M", 0, key)
    return {"branch": key, "scope": scope}


@pytest.mark.parametrize("source", [SOURCE, "cap#it"])
async def test_the_only_open_request_is_meant(office: Office, source: str) -> None:
    """Also one of an item of a map, which nothing in the reply addresses."""
    await office.ask("c1", **await branch_of(office, "b"))
    await office.deliver(reply(source=source, status="SUCCESS"))

    assert await office.fates() == ["matched"]
    assert (await office.request("c1")).state == "answered"


async def test_without_the_dialect_it_is_held() -> None:
    """No guarantee is weakened for those who did not ask for it."""
    office = Office()
    await office.instance(dialect=OWN.name)
    await office.ask("c1")
    await office.deliver(reply(source=SOURCE))

    (record,) = await office.records()
    assert (record.fate, record.reason) == ("held", f"no request to {SOURCE!r} has been made by the instance itself")


async def test_of_two_open_requests_none_is_meant(office: Office) -> None:
    """Nobody can tell; the reason says how it would match."""
    await office.ask("c1")
    await office.ask("c2", source="other#it")
    await office.deliver(reply(source=SOURCE))

    (record,) = await office.records()
    assert record.fate == "held"
    assert "2 requests are open" in record.reason
    assert "inReplyTo" in record.reason


@pytest.mark.parametrize(("source", "meant"), [("other#it", "c2"), ("cap#it", "c1")])
async def test_a_source_that_is_a_capability_means_a_request_to_it(office: Office, source: str, meant: str) -> None:
    """It is never taken for the answer of another one."""
    await office.ask("c1", **await branch_of(office, "b"))
    await office.ask("c2", source="other#it", **await branch_of(office, "b"))
    await office.deliver(reply(source=source))

    assert (await office.request(meant)).state == "answered"


async def test_another_capability_of_the_definition_does_not_answer(office: Office) -> None:
    """Even if only one request is open: its reply is early, or late."""
    await office.ask("c1")
    await office.deliver(reply(source="other#it"))

    assert await office.fates() == ["held"]
    assert (await office.request("c1")).state == "open"


async def test_a_branch_that_is_given_is_never_contradicted(office: Office) -> None:
    """The only open request is of another item."""
    await office.ask("c1", **await branch_of(office, "b"))
    await office.deliver(reply(source=SOURCE, routingHint={"branchKey": "a"}))

    assert await office.fates() == ["held"]


@pytest.mark.parametrize("state", ["timed_out", "superseded", "failed"])
async def test_after_a_request_was_closed_unanswered_nobody_can_tell(office: Office, state: RequestState) -> None:
    """The reply may be the one that came too late."""
    await office.ask("c1", source="other#it")
    await office.close("c1", state)
    await office.ask("c2")
    await office.deliver(reply(source=SOURCE))

    (record,) = await office.records()
    assert record.fate == "held"
    assert "c1" in record.reason
    assert (await office.request("c2")).state == "open"


async def test_twenty_later_answers_do_not_hide_what_was_closed_unanswered(office: Office) -> None:
    """Of the closed pointers of a source the oldest are dropped, but never the last one of that kind."""
    await office.ask("c0")
    await office.close("c0", "timed_out")
    for number in range(1, 30):
        await office.ask(f"c{number}")
        await office.deliver(reply(to=f"c{number}", id=f"r{number}"))
    await office.ask("c30")
    await office.deliver(reply(source="cap#it", routingHint={}, id="r"), reply(source=SOURCE, id="u"))

    (held,) = [record for record in await office.records() if record.fate == "held"]
    assert "c0" in held.reason


async def test_a_reply_that_comes_twice_answers_once(office: Office) -> None:
    """Under the id of a reply that was taken no other request is answered."""
    await office.ask("c1")
    await office.deliver(reply(source=SOURCE, id="r1"))
    await office.ask("c2")
    await office.deliver(reply(source=SOURCE, id="r1"))

    assert await office.fates() == ["matched", "duplicate"]
    assert (await office.request("c2")).state == "open"


async def test_one_that_was_held_answers_no_later_request(office: Office) -> None:
    """What came before the request was made cannot be its reply."""
    await office.deliver(reply(source=SOURCE))
    early = await office.ask("c1")
    await office.router.exchange.ask(early, again=True)

    assert await office.fates() == ["held"]
    assert (await office.request("c1")).state == "open"


# --- errors said in the payload ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "status", "payload", "expected"),
    [
        ("lambda_orchestrator", None, {"status": "ERROR"}, "ERROR"),
        ("lambda_orchestrator", "SUCCESS", {"status": "ERROR"}, "SUCCESS"),
        ("lambda_orchestrator", None, {"status": "HELD"}, "SUCCESS"),
        ("cch", None, {"status": "ERROR"}, "SUCCESS"),
    ],
)
async def test_an_error_may_be_said_in_the_payload(
    dialect: str, status: str | None, payload: dict[str, Any], expected: str
) -> None:
    """Only in the dialect, only this word, and only where the command itself says nothing."""
    office = Office()
    await office.instance(dialect=dialect)
    await office.ask("c1")
    said = {} if status is None else {"status": status}
    await office.deliver(reply(to="c1", payload=payload, **said))

    request = await office.request("c1")
    assert request.reply_status == expected
    assert request.reply == json.loads(json.dumps(payload))


async def test_an_item_that_asks_what_the_instance_asked_before_is_answered(office: Office) -> None:
    """The reply names neither the request nor the item; the instance's own request was answered."""
    await office.ask("c1")
    await office.deliver(reply(to="c1", id="r1"))
    await office.ask("c2", **await branch_of(office, "b"))
    await office.deliver(reply(id="r2"))

    assert (await office.request("c2")).state == "answered"


async def test_a_repeated_reply_stays_a_duplicate_where_nothing_else_is_open(office: Office) -> None:
    """As without the dialect."""
    await office.ask("c1")
    await office.deliver(reply(id="r1"), reply(id="r2"))

    assert await office.fates() == ["matched", "duplicate"]
