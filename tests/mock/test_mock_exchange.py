"""Scripts, idempotency and faults; without threads, AWS or waiting."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mock_fakes import REPLIES, FakeClock, Workbench, request

from capability_mock.effects import Effects, read_effects
from capability_mock.exchange import SEND_ATTEMPTS
from capability_mock.memory import Memory
from capability_mock.messages import parse_request
from capability_mock.queues import BATCH_SIZE, in_batches
from capability_mock.record import Record
from capability_mock.scenario import Answer, parse_scenario
from capability_mock.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Bench = Callable[..., Workbench]

TWO = "capabilities: {a#b: [{status: ERROR, payload: {}}, {payload: {n: 2}}]}"


def test_answers_come_in_order_and_the_last_repeats(bench: Bench) -> None:
    """The n-th call of a capability gets the n-th answer; later ones get the last."""
    mock = bench(TWO)

    for _ in range(4):
        mock.arrive(request("a#b"))

    assert mock.statuses() == ["ERROR", "SUCCESS", "SUCCESS", "SUCCESS"]


def test_each_instance_sees_the_sequence_from_its_start(bench: Bench) -> None:
    """Calls are counted per workflow instance."""
    mock = bench(TWO)

    for instance in ("i-1", "i-2", "i-1"):
        mock.arrive(request("a#b", instance=instance))

    assert mock.statuses() == ["ERROR", "ERROR", "SUCCESS"]


def test_count_per_service_shares_the_sequence(bench: Bench) -> None:
    """With `count_per: service` all instances go through one sequence."""
    mock = bench("count_per: service\n" + TWO)

    for instance in ("i-1", "i-2"):
        mock.arrive(request("a#b", instance=instance))

    assert mock.statuses() == ["ERROR", "SUCCESS"]


def test_branches_are_counted_by_themselves(bench: Bench) -> None:
    """Branch keys without answers of their own each go through the general ones."""
    mock = bench("capabilities: {a#b: [{status: ERROR}, {}, {branch: y, payload: {y: 1}}]}")

    for branch in ("x", "z", "x", "y", "y"):
        mock.arrive(request("a#b", branch=branch))

    assert mock.statuses() == ["ERROR", "ERROR", "SUCCESS", "SUCCESS", "SUCCESS"]
    assert mock.commands()[-1]["payload"] == {"y": 1}


def test_unscripted_capability_gets_the_default(bench: Bench) -> None:
    """A capability of which the scenario does not speak answers as without a scenario."""
    mock = bench(TWO)

    mock.arrive(request("other#c", keys=["k"]))

    assert mock.commands()[0]["payload"] == {"k": "k of other#c for BOL-1"}


def test_repeated_command_gets_the_same_reply_and_does_not_advance(bench: Bench) -> None:
    """The command id is the idempotency key: the same reply, and the next call gets the next answer."""
    mock = bench(TWO)
    asked = request("a#b")

    mock.arrive(asked)
    mock.arrive(asked)
    mock.arrive(request("a#b"))

    first, again, following = mock.replies()
    assert first == again
    assert following["command"]["status"] == "SUCCESS"
    counts = mock.record.counts()
    assert (counts["received"], counts["repeated"], counts["distinctCommandIds"]) == (3, 1, 2)


def test_repeat_keeps_its_answer_when_the_scenario_changes(bench: Bench) -> None:
    """A new scenario changes what new commands get, not what was answered."""
    mock = bench(TWO)
    asked = request("a#b")
    mock.arrive(asked)

    mock.desk.put_scenario(parse_scenario("capabilities: {a#b: [{payload: {new: 1}}]}"))
    mock.arrive(asked)
    mock.arrive(request("a#b"))

    assert mock.statuses() == ["ERROR", "ERROR", "SUCCESS"]


def test_instance_scenario_is_for_that_instance_only(bench: Bench) -> None:
    """A scenario of one instance replaces the general one there, until it is cleared."""
    mock = bench(TWO)
    mock.desk.put_scenario(parse_scenario("capabilities: {a#b: [{payload: {mine: 1}}]}"), "i-1")

    mock.arrive(request("a#b", instance="i-1"))
    mock.arrive(request("a#b", instance="i-2"))
    mock.desk.clear_scenario("i-1")
    mock.arrive(request("a#b", instance="i-1"))

    assert [command["payload"] for command in mock.commands()] == [{"mine": 1}, {}, {}]
    assert mock.desk.scenarios()[1] == ()


def test_delayed_reply_waits_for_its_time(bench: Bench) -> None:
    """A delayed reply is sent when its time has come, and only then is the request deleted."""
    mock = bench("capabilities: {a#b: [{after: 1h}]}")
    mock.arrive(request("a#b"), receipt="r-1")

    mock.pass_time(3599)
    assert (mock.queues.sent, mock.queues.deleted) == ([], [])
    mock.pass_time(1)

    assert len(mock.queues.sent) == 1
    assert mock.queues.deleted == ["r-1"]


def test_waiting_request_is_kept_invisible(bench: Bench) -> None:
    """What is not yet answered stays hidden in its queue; what is answered is not touched any more."""
    mock = bench("capabilities: {a#b: [{after: 1h}]}", visibility=60)
    mock.arrive(request("a#b"), receipt="r-1")
    mock.arrive(request("c#d"), receipt="r-2")

    mock.exchange.extend()
    mock.pass_time(3600)
    mock.exchange.extend()

    assert mock.queues.hidden == [("r-1", 60)]


def test_release_shows_what_is_not_answered(bench: Bench) -> None:
    """A mock that stops gives its waiting requests back at once."""
    mock = bench("capabilities: {a#b: [{after: 1h}]}")
    mock.arrive(request("a#b"), receipt="r-1")

    mock.exchange.release()

    assert mock.queues.hidden == [("r-1", 0)]


def test_early_ack_deletes_at_once(bench: Bench) -> None:
    """With `--ack early` a delayed request is deleted when it is scheduled."""
    mock = bench("capabilities: {a#b: [{after: 1h}]}", ack_early=True)

    mock.arrive(request("a#b"), receipt="r-1")
    mock.exchange.extend()
    mock.pass_time(3600)

    assert mock.queues.deleted == ["r-1"]
    assert mock.queues.hidden == []
    assert len(mock.queues.sent) == 1


def test_message_delivered_again_while_waiting_is_answered_once(bench: Bench) -> None:
    """SQS may show a waiting message again: its newest receipt deletes it, and it is answered once."""
    mock = bench("capabilities: {a#b: [{after: 1h}]}")
    asked = request("a#b")

    mock.arrive(asked, message_id="m-1", receipt="old")
    mock.arrive(asked, message_id="m-1", receipt="new")
    mock.pass_time(3600)

    assert len(mock.queues.sent) == 1
    assert mock.queues.deleted == ["new"]


def test_duplicate_sends_that_many_copies(bench: Bench) -> None:
    """`duplicate: 3` sends the same reply three times; a repeat of the request adds one."""
    mock = bench("capabilities: {a#b: [{duplicate: 3}]}")
    asked = request("a#b")

    mock.arrive(asked)
    mock.arrive(asked)

    assert len({body for _, body in mock.queues.sent}) == 1
    assert len(mock.queues.sent) == 4
    assert mock.record.counts()["answered"] == 2


def test_never_takes_the_request_and_stays_silent(bench: Bench) -> None:
    """`never` deletes the request without an answer, also when it is repeated."""
    mock = bench("capabilities: {a#b: [{never: true}]}")
    asked = request("a#b")

    mock.arrive(asked)
    mock.arrive(asked)

    assert mock.queues.sent == []
    assert len(mock.queues.deleted) == 2
    assert mock.record.counts()["never"] == 2


def test_malformed_reply_is_no_json(bench: Bench) -> None:
    """`malformed` sends text that no JSON parser takes."""
    mock = bench("capabilities: {a#b: [{malformed: true}]}")

    mock.arrive(request("a#b"))

    assert set(mock.replies()[0]) == {"malformed"}
    assert mock.record.counts()["malformed"] == 1


def test_reply_without_echo_has_no_in_reply_to(bench: Bench) -> None:
    """`echo: false` answers as older capabilities do: instance and branch, no command id."""
    mock = bench("capabilities: {a#b: [{echo: false}]}")

    mock.arrive(request("a#b", branch="k"))

    (command,) = mock.commands()
    assert "inReplyTo" not in command
    assert command["routingHint"] == {"branchKey": "k"}


def test_out_of_order_reply_is_overtaken(bench: Bench) -> None:
    """A held reply is sent after the next one of the same capability, not of another one."""
    mock = bench("count_per: service\ncapabilities: {a#b: [{out_of_order: true, payload: {n: 1}}, {payload: {n: 2}}]}")

    mock.arrive(request("a#b"), receipt="r-1")
    mock.arrive(request("c#d"))
    mock.pass_time(60)
    assert mock.exchange.waiting() == {"waiting": 1, "held": 1}
    mock.arrive(request("a#b"), receipt="r-2")
    mock.pass_time(0)

    assert [c["payload"].get("n") for c in mock.commands()] == [None, 2, 1]
    assert mock.queues.deleted[-2:] == ["r-2", "r-1"]
    assert mock.exchange.waiting() == {"waiting": 0, "held": 0}


def test_overtaken_reply_still_waits_for_its_own_delay(bench: Bench) -> None:
    """A held reply that has a delay is sent when both have passed: the next reply and its delay."""
    mock = bench(
        "count_per: service\ncapabilities: {a#b: [{out_of_order: true, after: 1h, payload: {n: 1}}, {payload: {}}]}"
    )
    mock.arrive(request("a#b"))
    mock.arrive(request("a#b"))

    mock.pass_time(3599)
    assert len(mock.queues.sent) == 1
    mock.pass_time(1)

    assert mock.commands()[1]["payload"] == {"n": 1}


def test_two_out_of_order_replies_swap(bench: Bench) -> None:
    """When every answer is out of order, they leave in swapped pairs and none is held for ever."""
    mock = bench("capabilities: {a#b: [{out_of_order: true}]}")

    asked = [request("a#b") for _ in range(4)]
    for item in asked:
        mock.arrive(item)
        mock.pass_time(0)

    ids = [item["header"]["commandId"] for item in asked]
    assert [c["inReplyTo"] for c in mock.commands()] == [ids[1], ids[0], ids[3], ids[2]]


def test_message_that_is_no_request_is_counted_and_deleted(bench: Bench) -> None:
    """An invalid message does not come again for ever, and does not disturb its neighbours."""
    mock = bench()

    mock.arrive("no json", request("a#b"), '{"header": {}}')

    assert mock.record.counts()["invalid"] == 2
    assert len(mock.queues.sent) == 1
    assert sorted(mock.queues.deleted) == ["receipt-0", "receipt-1", "receipt-2"]


def test_reply_that_cannot_be_sent_is_tried_again(bench: Bench) -> None:
    """A request is deleted only after its reply was accepted."""
    mock = bench()
    mock.queues.broken.add(REPLIES)
    mock.arrive(request("a#b"))
    assert mock.queues.deleted == []

    mock.queues.broken.clear()
    mock.pass_time(1)

    assert len(mock.queues.sent) == 1
    assert mock.queues.deleted == ["receipt-0"]


def test_reply_that_can_never_be_sent_leaves_its_request(bench: Bench) -> None:
    """After the last attempt the request is left to SQS, which delivers it again or buries it."""
    mock = bench()
    mock.queues.broken.add(REPLIES)
    mock.arrive(request("a#b"))

    for attempt in range(SEND_ATTEMPTS + 2):
        mock.pass_time(2**attempt)

    assert mock.queues.calls["send"] == SEND_ATTEMPTS
    assert mock.queues.deleted == []
    assert mock.record.counts()["failed"] == 1
    assert mock.exchange.waiting()["waiting"] == 0


def test_replies_leave_in_batches(bench: Bench) -> None:
    """Ten requests cost one send and one delete."""
    mock = bench()

    mock.arrive(*[request("a#b") for _ in range(10)])

    assert dict(mock.queues.calls) == {"send": 1, "delete": 1}


@given(st.lists(st.integers(0, BATCH_SIZE), max_size=60))
def test_batches_keep_the_quotas(sizes: list[int]) -> None:
    """Every batch has at most ten entries and 256 KiB, nothing is lost and the order is kept."""
    batches = list(in_batches(sizes, sizes))

    assert [size for batch in batches for size in batch] == sizes
    assert all(len(batch) <= 10 and sum(batch) <= BATCH_SIZE for batch in batches)


@given(st.lists(st.sampled_from(["c-1", "c-2", "c-3", "c-4"]), max_size=12), st.integers(1, 3))
def test_repeats_change_nothing(ids: list[str], length: int) -> None:
    """Whatever repeats come in between, distinct commands get the answers that they get without repeats."""
    answers = ", ".join(f"{{payload: {{n: {index}}}}}" for index in range(length))
    mock = Workbench(f"capabilities: {{a#b: [{answers}]}}")

    for command_id in ids:
        mock.arrive(request("a#b", command_id=command_id))

    order = list(dict.fromkeys(ids))
    expected = {command_id: min(index, length - 1) for index, command_id in enumerate(order)}
    assert [(c["inReplyTo"], c["payload"]["n"]) for c in mock.commands()] == [(i, expected[i]) for i in ids]


@given(st.lists(st.integers(0, 20)))
def test_timetable_hands_out_in_order(delays: list[int]) -> None:
    """Items come when they are due, the earliest first, equal ones as they were put."""
    clock = FakeClock()
    table: Timetable[tuple[int, int]] = Timetable(clock)
    for index, delay in enumerate(delays):
        table.put(clock.now + delay, (delay, index))

    seen = []
    for _ in range(21):
        seen += table.take()
        clock.now += 1

    assert seen == sorted(seen)
    assert len(seen) == len(delays)
    assert len(table) == 0


def test_memory_forgets_the_least_used() -> None:
    """Reading keeps an entry young; beyond its size the oldest is forgotten."""
    memory: Memory[str, int] = Memory(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")
    memory.put("c", 3)

    assert memory.keys() == ("a", "c")
    assert memory.get("b") is None


def test_record_is_bounded_and_searchable() -> None:
    """The record keeps the newest requests, counts repeats, and filters."""
    from capability_mock.messages import parse_request

    record = Record(requests_kept=3)
    for index in range(5):
        asked = parse_request(json.dumps(request(f"c#{index % 2}", command_id=f"c-{index}", instance="i")))
        record.note(asked, Answer(), scripted=False, at="t")
        record.note(asked, Answer(), scripted=False, at="u")

    kept = record.requests()
    assert [entry["commandId"] for entry in kept] == ["c-2", "c-3", "c-4"]
    assert [entry["commandId"] for entry in record.requests(capability="c#0", limit=1)] == ["c-4"]
    assert record.requests(instance="other") == record.requests(limit=0) == []
    assert (kept[0]["times"], kept[0]["firstReceived"], kept[0]["lastReceived"]) == (2, "t", "u")
    assert kept[0]["body"]["capability_id"] == "c#0"
    record.clear()
    assert record.requests() == []


def test_record_is_bounded_by_text_too() -> None:
    """Large requests push older ones out."""
    from capability_mock.messages import parse_request

    record = Record(text_kept=3_000)
    for index in range(5):
        asked = parse_request(json.dumps(request(command_id=f"c-{index}", context={"x": "y" * 900})))
        record.note(asked, Answer(), scripted=False, at="t")

    assert [entry["commandId"] for entry in record.requests()] == ["c-3", "c-4"]


@pytest.mark.parametrize("command_id", ["2b8477bf-ccf3-4acd-a538-c413c68dd658", "no uuid"])
def test_any_command_id_is_answered(bench: Bench, command_id: Any) -> None:
    """A command id is a text; that it is a UUID is not required."""
    mock = bench()

    mock.arrive(request("a#b", command_id=command_id))

    assert mock.commands()[0]["inReplyTo"] == command_id


def test_request_nested_too_deeply_is_no_request(bench: Bench) -> None:
    """A request that cannot be walked through is refused like any other that is none; its neighbours are
    answered.
    """
    mock = bench()
    deep = json.dumps(request("import#e", context={"x": "DEEP"})).replace('"DEEP"', '{"x":' * 990 + "1" + "}" * 990)

    mock.arrive(deep, request("a#b"))

    assert len(mock.queues.sent) + mock.record.counts()["invalid"] == 2
    assert "a#b" in str(mock.commands()[-1])


def test_an_effect_happens_once_also_after_a_kill(tmp_path: Path) -> None:
    """A mock that goes on with the file of a killed one counts no command id twice."""
    path = tmp_path / "effects.jsonl"
    first, again, other = (parse_request(json.dumps(request("a#b", command_id=name))) for name in ("c-1", "c-1", "c-2"))
    killed = Effects(path)
    assert [killed.take(first), killed.take(again)] == [True, False]

    after = Effects(path)

    assert [after.take(again), after.take(other)] == [False, True]
    assert [effect["commandId"] for effect in read_effects(path)] == ["c-1", "c-2"]
