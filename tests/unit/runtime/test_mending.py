"""What operators do when the world was wrong: retry, decide, patch, hold, release; also over a crash."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from changed import Moved, Tables, gates, waiting
from faults import Died, FragileStore
from scripted import ManualClock
from tests.patience import finished
from world import eventually, open_memory_platform

from cch.ledger.gates import GateTakenError
from cch.ledger.messages import message_id
from cch.ledger.records import ENDED, Instance, MessageRecord, RequestRecord
from cch.runtime.changing import go_on
from cch.runtime.mend_plan import Verdict
from cch.runtime.mending import Mend, apply, decide, hold, patch, preview, release, retry
from cch.runtime.standing_still import RefusedChangeError

FORKED = """
workflow_id: moved
workflow_name: Side by side
entry_point: Ask
nodes:
  Ask: {type: async_request, capability_id: a#ask, on_response: Split, error_reply: failure}
  Split: {type: fork, branches: [Left, Right]}
  Left: {type: async_request, capability_id: a#left, on_response: Left_End, error_reply: failure}
  Left_End: {type: end_branch}
  Right: {type: async_request, capability_id: a#right, input_keys: [code], on_response: Right_End, error_reply: failure}
  Right_End: {type: end_branch}
  Both: {type: join, join_branches: [Left, Right], on_success: E}
  E: {type: end}
"""


async def instance_of(world: Moved) -> Instance:
    return (await world.view()).instance


async def mended(world: Moved, mend: Mend) -> Tables:
    tables = Tables()
    await apply(world.platform, tables, world.instance, mend)
    world.go_on()
    return tables


async def ended(world: Moved) -> str:
    async def look() -> bool:
        return (await instance_of(world)).status in ENDED

    await eventually(look)
    return (await instance_of(world)).status


async def fail(world: Moved, source: str) -> None:
    """The capability answers ERROR, which nothing handles."""
    await world.reply(await world.one_open(source), status="ERROR")
    assert await finished(ended(world)) == "failed"


async def test_a_failed_instance_goes_on_from_the_node_that_failed(tmp_path: Path) -> None:
    """The capability is asked again under another command id; what came before is kept."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        await fail(world, "a#then")
        failed = [each for each in await world.asked() if each.source == "a#then"]

        tables = await mended(world, retry("Then", by="ada", reason="it answered nonsense"))
        again = await world.one_open("a#then")
        await world.reply(again)

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]
        assert again.command_id not in {each.command_id for each in failed}
        assert (tables.revived, tables.wishes[0].tasks["Then"].wish, tables.wishes[0].tasks["Ask"].wish) == (
            [True], "run", "done",
        )  # fmt: skip
        (record,) = await world.platform.ledger.actions.of_instance(world.instance)
        assert (record.kind, record.by, record.reason, record.about) == (
            "retried", "ada", "it answered nonsense", {"node": "Then"},
        )  # fmt: skip


async def test_a_failed_instance_is_never_live_without_a_closed_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever compares it with its run, which has failed, would end it again while the retry is being made."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        await fail(world, "a#then")
        store, seen = world.platform.ledger.store, []
        update = store.update

        async def noted(key: Any, *arguments: Any, **named: Any) -> Any:
            done = await update(key, *arguments, **named)
            now = await instance_of(world)
            seen.append((now.status, now.gate("changing") is not None, len(tables.revived)))
            return done

        monkeypatch.setattr(store, "update", noted)
        tables = Tables()
        await apply(world.platform, tables, world.instance, retry("Then", by="ada"))

        assert ("running", True, 0) in seen
        assert ("running", False, 0) not in seen


async def test_a_retry_that_died_before_it_decided_is_made_again(tmp_path: Path) -> None:
    """It left the instance live and its run failed; the next one lets both go on."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        await fail(world, "a#then")
        await world.platform.ledger.instances.reopen(world.instance, 1)

        tables = await mended(world, retry("Then", by="ada"))
        await world.reply(await world.one_open("a#then"))

        assert tables.revived == [True]
        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]


@pytest.mark.parametrize("size", [1, 50_000], ids=["small", "larger than an item"])
async def test_an_earlier_node_begins_anew_and_what_came_after_does_not_count(tmp_path: Path, size: int) -> None:
    """The open request of what is set aside is superseded; its reply would be late."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request, text="x" * size)
        then = await world.one_open("a#then")

        await mended(world, retry("Ask", by="ada"))
        again = await world.one_open("a#ask")
        assert (await world.view()).outcomes() == [], "nothing of it counts any more"
        await world.reply(again)
        await world.reply(await world.one_open("a#then"))

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]
        closed = await world.platform.ledger.requests.get(then.command_id)
        assert closed is not None
        assert closed.state == "superseded"
        assert again.command_id != request.command_id


async def test_a_node_is_retried_as_often_as_needed(tmp_path: Path) -> None:
    """Also one that needs nobody: each time it begins a new generation, and what it led to is asked anew."""
    async with waiting(tmp_path, text=FORKED) as (world, request):
        await world.reply(request)
        left: set[str] = set()
        for _ in range(3):
            left.add((await world.one_open("a#left")).command_id)
            await mended(world, retry("Split", by="ada"))
        await world.reply(await world.one_open("a#left"))
        await world.reply(await world.one_open("a#right"))

        await finished(world.has_ended())
        asked = [each for each in await world.asked() if each.source == "a#left"]
        journal = await world.platform.ledger.journal.read((await instance_of(world)).region("Ask"))
        assert len([entry for entry in journal if "Split#1" in entry.dropped]) == 3
        assert len(left) == 3
        assert [each.state for each in asked].count("superseded") == 3
        assert [each.state for each in asked].count("answered") == 1


TIMED = FORKED.replace("a#ask, on", "a#ask, timeout: 1h, on")


async def late_reply(world: Moved, request: RequestRecord, clock: ManualClock, **said: str) -> MessageRecord:
    """The request's time is up, which nothing handles; then it is answered."""
    clock.advance(3601)
    world.go_on()
    assert await finished(ended(world)) == "failed"
    await world.reply(request, **said)
    found: list[MessageRecord] = []

    async def come() -> bool:
        found[:] = await world.platform.ledger.messages.unmatched("late")
        return bool(found)

    await eventually(come)
    record = await world.platform.ledger.messages.get(found[0].key)
    assert record is not None
    return record


async def test_a_late_reply_becomes_the_answer_of_a_retry(tmp_path: Path) -> None:
    """The capability is not asked again, and the reply is read as any other; it can be had only once."""
    clock = ManualClock(1_767_600_000_000)
    async with waiting(tmp_path, text=TIMED, clock=clock) as (world, request):
        late = await late_reply(world, request, clock, code="0101")

        await mended(world, retry("Ask", by="ada", reason="it came", adopt=late))
        await world.reply(await world.one_open("a#left"))
        await world.reply(await world.one_open("a#right"))

        assert "Ask" in await finished(world.has_ended())
        again = next(each for each in await world.asked() if each.source == "a#ask" and each.state == "answered")
        assert (again.sent_at, again.answered_by, again.reply["code"]) == (0, late.key, "0101")
        (record,) = await world.platform.ledger.actions.of_instance(world.instance)
        assert record.about == {"node": "Ask", "adopted": message_id(late.key)}
        taken = await world.platform.ledger.messages.get(late.key)
        assert taken is not None
        with pytest.raises(RefusedChangeError, match="the message is matched"):
            await mended(world, retry("Ask", by="ada", adopt=taken))


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
async def test_a_death_at_any_call_adopts_the_reply_once_or_not(tmp_path: Path, lost: bool) -> None:
    """Nobody is asked in either case: the retry has the reply, or there was no retry."""
    for at in range(1, 200):
        store, folder, clock = FragileStore(), tmp_path / f"{at}", ManualClock(1_767_600_000_000)
        folder.mkdir()
        async with waiting(folder, store, text=TIMED, clock=clock) as (world, request):
            late = await late_reply(world, request, clock)
            mender, died = FragileStore(store), False
            async with open_memory_platform(folder, store=mender, clock=clock) as other:
                mender.arm(at, lost=lost)
                try:
                    await apply(other, Tables(), world.instance, retry("Ask", by="ada", adopt=late))
                except Died:
                    died = True
            await go_on(world.platform, Tables(), world.instance)
            world.go_on()
            if (await instance_of(world)).amendments.count:
                await world.one_open("a#left")
            asked = [each for each in await world.asked() if each.source == "a#ask"]
            assert len([each for each in asked if each.sent_at]) == 1
            if not died:
                break
    else:
        pytest.fail("the retry never came through")


@pytest.mark.parametrize(
    ("node", "change", "words"),
    [
        ("Ask", {"source": "a#other"}, "from a#other, and 'Ask' asks a#ask"),
        ("Ask", {"instance": "another"}, "the message is for another"),
        ("Ask", {"branch": "one"}, "branch one"),
        ("Ask", {"kind": "EVENT_WAIT_RESP"}, "is no reply"),
        ("Ask", {"fate": "duplicate"}, "the message is duplicate"),
        ("Split", {}, "'Split' asks nobody: it is a fork"),
        ("Nobody", {}, "no node 'Nobody'"),
        ("Left", {}, "'Left' asks a#left"),
    ],
)
async def test_a_reply_that_is_not_for_the_node_is_not_adopted(
    tmp_path: Path, node: str, change: dict[str, Any], words: str
) -> None:
    """Nothing changes."""
    clock = ManualClock(1_767_600_000_000)
    async with waiting(tmp_path, text=TIMED, clock=clock) as (world, request):
        late = replace(await late_reply(world, request, clock), **change)

        with pytest.raises(RefusedChangeError, match=words):
            await mended(world, retry(node, by="ada", adopt=late))

        assert (await instance_of(world)).status == "failed"


async def test_a_node_that_waits_is_not_retried_for_a_reply(tmp_path: Path) -> None:
    """The message answers its open request instead: the refusal says so."""
    async with waiting(tmp_path) as (world, request):
        message = MessageRecord(
            key="MSG#q#1", fate="orphan", kind="ASYNC_RESP", reason="", instance=world.instance, source="a#ask",
            branch="", command_id="r", claimed_for="", received=1, body="{}",
        )  # fmt: skip

        with pytest.raises(RefusedChangeError, match="attach the message to its open request"):
            await mended(world, retry(request.node, by="ada", adopt=message))


async def test_a_completed_instance_goes_on_from_any_visit(tmp_path: Path) -> None:
    """It had ended; it ends once more."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        await world.reply(await world.one_open("a#then"))
        await finished(world.has_ended())

        await mended(world, retry("Then", 1, by="ada"))
        await world.reply(await world.one_open("a#then"))

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]


@pytest.mark.parametrize(
    ("verdict", "payload", "status", "way"),
    [
        ("completed", {"answered": "by telephone"}, "completed", "on_response"),
        ("skipped", {}, "completed", "on_response"),
        ("failed", {}, "failed", ""),
    ],
)
async def test_a_node_that_waits_is_decided_by_hand(
    tmp_path: Path, verdict: Verdict, payload: dict[str, Any], status: str, way: str
) -> None:
    """Its request is superseded; the outcome says who decided, and why."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        then = await world.one_open("a#then")
        mend = decide("Then", verdict, by="ada", now=5, reason="done by telephone", payload=payload)

        await mended(world, mend)
        world.go_on()

        assert await finished(ended(world)) == status
        outcome = next(o for o in (await world.view()).outcomes() if o.node == "Then")
        assert (outcome.label, outcome.cause["by"], outcome.cause["verdict"]) == (way, "ada", verdict)
        assert outcome.patch.get("answered") == payload.get("answered")
        closed = await world.platform.ledger.requests.get(then.command_id)
        assert closed is not None
        assert closed.state == "superseded"


async def test_a_failed_node_is_decided_by_hand(tmp_path: Path) -> None:
    """The failure does not count any more; nobody is asked again."""
    async with waiting(tmp_path) as (world, request):
        await world.reply(request)
        await fail(world, "a#then")
        asked = len(await world.asked())

        await mended(world, decide("Then", "completed", by="ada", now=5, payload={"code": "0101"}))
        world.go_on()

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]
        assert len(await world.asked()) == asked


async def test_a_patch_is_seen_by_what_comes_next_and_not_by_what_was_sent(tmp_path: Path) -> None:
    """Of several branches the one that is named knows of it; it is told as a change made by a person."""
    async with waiting(tmp_path, text=FORKED) as (world, request):
        await world.reply(request, code="wrong")
        right, left = await world.one_open("a#right"), await world.one_open("a#left")
        with pytest.raises(RefusedChangeError, match="name those that are to know"):
            await mended(world, patch({"code": "right"}, by="ada"))

        await mended(world, patch({"code": "right"}, ["Right"], by="ada", reason="a wrong tariff code"))
        await world.reply(right)
        await world.reply(left)
        await finished(world.has_ended())

        view = await world.view()
        plan = await world.plan_now()
        flow = world.flow_of(plan, view)
        assert flow.after(flow.outcomes["Right#1"])["code"] == "right"
        assert flow.after(flow.outcomes["Left#1"])["code"] == "wrong"
        assert [each.kind for each in await world.platform.ledger.actions.of_instance(world.instance)] == ["patched"]


@pytest.mark.parametrize(
    ("mend", "words"),
    [
        (retry("Nobody", by="ada"), "no node 'Nobody'"),
        (retry("Then", by="ada"), "has not visited 'Then'"),
        (retry("Ask", by="ada"), "'Ask' is under way"),
        (decide("Then", "completed", by="ada", now=1), "has not visited 'Then'"),
        (decide("Ask", "completed", by="ada", now=1, edge="on_nothing"), "has no way 'on_nothing'"),
        (patch({}, by="ada"), "nothing to add"),
        (patch({"_private": 1}, by="ada"), "the program's own"),
        (patch({"k": 1}, ["Then"], by="ada"), "no token is at Then"),
    ],
)
async def test_what_cannot_be_mended_is_refused_and_nothing_changes(tmp_path: Path, mend: Mend, words: str) -> None:
    """The reason says what there is instead; the preview says the same."""
    async with waiting(tmp_path) as (world, _):
        with pytest.raises(RefusedChangeError, match=words):
            await preview(world.platform, world.instance, mend)
        with pytest.raises(RefusedChangeError, match=words):
            await mended(world, mend)
        assert await gates(world.platform, world.instance) == []
        assert (await instance_of(world)).amendments.count == 0


@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
async def test_a_death_at_any_call_leaves_it_mended_or_not(tmp_path: Path, lost: bool) -> None:
    """A decision about a node that waits: it is made once, or the node waits on."""
    ways: set[str] = set()
    for at in range(1, 200):
        store, folder = FragileStore(), tmp_path / f"{at}"
        folder.mkdir()
        async with waiting(folder, store) as (world, request):
            mender = FragileStore(store)
            died = False
            async with open_memory_platform(folder, store=mender) as other:
                mender.arm(at, lost=lost)
                try:
                    await apply(other, Tables(), world.instance, decide("Ask", "skipped", by="ada", now=5))
                except Died:
                    died = True
            await go_on(world.platform, Tables(), world.instance)
            assert await gates(world.platform, world.instance) == []
            world.go_on()
            await world.reply(request)
            await world.reply(await world.one_open("a#then"))
            assert await finished(world.has_ended()) == ["Ask", "Then", "E"]
            outcome = next(o for o in (await world.view()).outcomes() if o.node == "Ask")
            ways.add(str(outcome.cause["kind"]))
            if not died:
                break
    else:
        pytest.fail("the decision never came through")
    assert ways == {"reply", "person"}


async def test_a_held_instance_sends_nothing_and_keeps_what_comes(tmp_path: Path) -> None:
    """The reply is taken and kept; after the release it is used, and the next request is sent."""
    async with waiting(tmp_path) as (world, request):
        await hold(world.platform, await instance_of(world), by="ada", reason="customs is down")
        await world.reply(request)

        async def answered() -> bool:
            found = await world.platform.ledger.requests.get(request.command_id)
            return found is not None and found.state == "answered"

        await eventually(answered)
        await asyncio.sleep(0.05)
        assert [each.source for each in await world.asked()] == ["a#ask"]
        with pytest.raises(GateTakenError, match="held already"):
            await hold(world.platform, await instance_of(world), by="bob")

        await release(world.platform, await instance_of(world), by="bob")
        await world.reply(await world.one_open("a#then"))

        assert await finished(world.has_ended()) == ["Ask", "Then", "E"]
        kinds = [each.kind for each in await world.platform.ledger.actions.of_instance(world.instance)]
        assert sorted(kinds) == ["held", "released"]
        with pytest.raises(RefusedChangeError, match="is not held"):
            await release(world.platform, await instance_of(world), by="bob")


async def test_its_clocks_stand_still_while_it_is_held(tmp_path: Path) -> None:
    """A timeout of an hour that is held for two days ends an hour after it began, not counting the hold."""
    clock = ManualClock(1_767_600_000_000)
    text = FORKED.replace("a#ask, on", "a#ask, timeout: 1h, on_timeout: E, on")
    async with waiting(tmp_path, text=text, clock=clock) as (world, request):
        clock.advance(1800)
        await hold(world.platform, await instance_of(world), by="ada")
        clock.advance(2 * 86_400)
        world.go_on()  # whoever waits looks at the clock
        await asyncio.sleep(0.05)
        still = await world.platform.ledger.requests.get(request.command_id)
        await release(world.platform, await instance_of(world), by="ada")
        await release_again(world)
        after = await world.platform.ledger.requests.get(request.command_id)

        assert still is not None
        assert after is not None
        assert still.state == after.state == "open"
        assert after.deadline == request.deadline + 2 * 86_400_000
        clock.advance(1801)
        world.go_on()
        assert await finished(ended(world)) == "completed"
        closed = await world.platform.ledger.requests.get(request.command_id)
        assert closed is not None
        assert closed.state == "timed_out"


async def release_again(world: Moved) -> None:
    """A release that is repeated moves nothing."""
    with pytest.raises(RefusedChangeError):
        await release(world.platform, await instance_of(world), by="ada")
