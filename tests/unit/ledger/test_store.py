"""The contract of a table, for the one in memory and for DynamoDB."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cch.aws.tables import INDEXES as DYNAMO_INDEXES
from cch.aws.tables import DynamoStore
from cch.errors import ServiceUnavailableError
from cch.ledger.store import NEW, Absent, Below, Change, ConditionFailedError, Equals, ItemStore, Place, When, holds
from cch.testing.memory_store import INDEXES as MEMORY_INDEXES
from cch.testing.memory_store import MemoryStore

KEY = ("P", "S")


def plain(item: dict[str, Any] | None) -> dict[str, Any] | None:
    """An item without the name of its writer, which only a real table keeps."""
    return {k: v for k, v in item.items() if k != "writer"} if item is not None else None


async def test_what_was_put_is_read_as_it_was(store: ItemStore) -> None:
    """Text, whole numbers and sets of text; empty text and large numbers too."""
    item = {
        "PK": "P",
        "SK": "S",
        "t": "ä\n\U0001f6a2",
        "e": "",
        "n": 10**15,
        "z": 0,
        "m": -3,
        "s": frozenset({"a", "b"}),
    }

    await store.put(item)

    assert plain(await store.get(KEY)) == item
    assert await store.get(("P", "other")) is None


@pytest.mark.parametrize(
    "item",
    [
        {"PK": "p" * 2049, "SK": "S"},
        {"PK": "P", "SK": "\U0001f6a2" * 257},
        {"PK": "", "SK": "S"},
        {"PK": "P", "SK": "S", "open_fate": "", "received": 1},
    ],
)
async def test_keys_that_are_empty_or_too_long_are_refused(store: ItemStore, item: dict[str, Any]) -> None:
    """Bytes count. What a message says must not become a key unchecked: it could never be stored."""
    with pytest.raises(Exception, match=r"(?i)key"):
        await store.put(item)


async def test_put_replaces_the_whole_item(store: ItemStore) -> None:
    """Attributes that are not in the new item are gone."""
    await store.put({"PK": "P", "SK": "S", "a": 1})
    await store.put({"PK": "P", "SK": "S", "b": 2})

    assert plain(await store.get(KEY)) == {"PK": "P", "SK": "S", "b": 2}


async def test_a_conditional_put_that_loses_gets_the_old_item(store: ItemStore) -> None:
    """The loser reads who won, without another call."""
    await store.put({"PK": "P", "SK": "S", "a": 1}, NEW)

    with pytest.raises(ConditionFailedError) as lost:
        await store.put({"PK": "P", "SK": "S", "a": 2}, NEW)

    assert plain(lost.value.item) == {"PK": "P", "SK": "S", "a": 1}
    assert plain(await store.get(KEY)) == {"PK": "P", "SK": "S", "a": 1}


@pytest.mark.parametrize(
    ("when", "true"),
    [
        (When.all(Equals("a", 5)), True),
        (When.all(Equals("a", 6)), False),
        (When.all(Equals("a", "5")), False),
        (When.all(Equals("t", "x")), True),
        (When.all(Equals("gone", "x")), False),
        (When.all(Absent("gone")), True),
        (When.all(Absent("a")), False),
        (When.all(Absent("PK")), False),
        (When.all(Below("a", 6)), True),
        (When.all(Below("a", 5)), False),
        (When.all(Below("gone", 5)), False),
        (When.all(Below("t", "y")), True),
        (When.all(Below("t", "X")), False),
        (When.all(Equals("a", 5), Equals("t", "x")), True),
        (When.all(Equals("a", 5), Equals("t", "z")), False),
        (When.any(Equals("a", 6), Equals("t", "x")), True),
        (When.any(Absent("a"), Below("a", 2)), False),
        (When(((Equals("a", 5), Absent("t")), (Equals("t", "x"), Absent("gone")))), True),
    ],
)
async def test_conditions_hold_alike(store: ItemStore, when: When, true: bool) -> None:
    """Each clause, all of them, any of them; on put and on update."""
    await store.put({"PK": "P", "SK": "S", "a": 5, "t": "x"})
    done = True
    try:
        await store.update(KEY, Change(set={"b": 1}), when)
    except ConditionFailedError as lost:
        done = False
        assert plain(lost.item) == {"PK": "P", "SK": "S", "a": 5, "t": "x"}

    assert done is true
    assert holds(when, {"PK": "P", "SK": "S", "a": 5, "t": "x"}) is true


async def test_an_update_sets_removes_and_adds(store: ItemStore) -> None:
    """It returns the item as it is then; what is not named stays."""
    await store.put({"PK": "P", "SK": "S", "keep": 1, "gone": 2, "owners": frozenset({"a"})})

    after = await store.update(
        KEY, Change(set={"state": "open", "n": 3}, remove=["gone", "never"], add={"owners": "b"})
    )
    again = await store.update(KEY, Change(add={"owners": "b"}))

    expected = {"PK": "P", "SK": "S", "keep": 1, "state": "open", "n": 3, "owners": frozenset({"a", "b"})}
    assert plain(after) == plain(again) == plain(await store.get(KEY)) == expected


async def test_an_update_without_a_condition_makes_a_missing_item(store: ItemStore) -> None:
    """With one that fails, nothing is made, and the old item is none."""
    made = await store.update(KEY, Change(set={"a": 1}, add={"s": "x"}))

    with pytest.raises(ConditionFailedError) as lost:
        await store.update(("P", "T"), Change(set={"a": 1}), When.all(Equals("state", "open")))

    assert plain(made) == {"PK": "P", "SK": "S", "a": 1, "s": frozenset({"x"})}
    assert lost.value.item is None
    assert await store.get(("P", "T")) is None


async def test_of_many_conditional_writers_one_wins(store: ItemStore) -> None:
    """Whoever loses sees the winner's item."""

    async def write(number: int) -> int | None:
        try:
            await store.put({"PK": "P", "SK": "S", "winner": number}, NEW)
        except ConditionFailedError as lost:
            assert lost.item is not None
            return None
        return number

    results = await asyncio.gather(*(write(number) for number in range(20)))

    winners = [number for number in results if number is not None]
    stored = await store.get(KEY)
    assert stored is not None
    assert winners == [stored["winner"]]


async def test_a_query_reads_one_partition_by_prefix_in_order(store: ItemStore) -> None:
    """Ascending by default; from the end, and limited, on request."""
    for name in ("B#2", "A#1", "B#1", "B#10", "C#1"):
        await store.put({"PK": "P", "SK": name, "n": 1})
    await store.put({"PK": "Q", "SK": "B#0"})

    async def names(prefix: str = "", **how: Any) -> list[str]:
        return [item["SK"] for item in await store.query("P", prefix, **how)]

    assert await names() == ["A#1", "B#1", "B#10", "B#2", "C#1"]
    assert await names("B#") == ["B#1", "B#10", "B#2"]
    assert await names("B#", last=True, limit=2) == ["B#2", "B#10"]
    assert await names("Z") == []


async def test_a_query_has_no_page_limit(store: ItemStore) -> None:
    """DynamoDB answers at most 1 MB at a time."""
    for number in range(40):
        await store.put({"PK": "P", "SK": f"{number:03d}", "text": "x" * 40_000})

    found = await store.query("P")

    assert [item["SK"] for item in found] == [f"{number:03d}" for number in range(40)]


async def test_get_many_returns_what_is_there(store: ItemStore) -> None:
    """More than DynamoDB's 100 keys a call, keys named twice, and keys that do not exist."""
    keys = [("P", f"{number:03d}") for number in range(130)]
    for pk, sk in keys[:120]:
        await store.put({"PK": pk, "SK": sk, "n": int(sk)})

    found = await store.get_many([*keys, keys[0], ("Q", "x")])

    assert {key: item["n"] for key, item in found.items()} == {key: int(key[1]) for key in keys[:120]}
    assert await store.get_many([]) == {}


async def test_delete_removes_and_may_be_repeated(store: ItemStore) -> None:
    """What is not there is not an error."""
    await store.put({"PK": "P", "SK": "S"})
    await store.delete(KEY)
    await store.delete(KEY)

    assert await store.get(KEY) is None


async def test_lists_are_sorted_by_their_index(store: ItemStore) -> None:
    """Newest first by default; items without the attribute are in no list."""
    for number, started in enumerate((30, 4, 100)):
        await store.put({"PK": f"I{number}", "SK": "META", "status": "running", "started": started})
    await store.put({"PK": "I9", "SK": "META", "status": "failed", "started": 1})
    await store.put({"PK": "I8", "SK": "META", "started": 1})

    async def started(**how: Any) -> list[int]:
        return [item["started"] for item in await store.listed("by_status", "running", **how)]

    assert await started() == [100, 30, 4]
    assert await started(newest=False) == [4, 30, 100]
    assert await started(limit=1) == [100]
    assert await started(between=(4, 30)) == [30, 4]
    assert await store.counted("by_status", "running", (0, 50), 10) == 2
    assert await store.counted("by_status", "running", (0, 500), 2) == 2


@pytest.mark.parametrize("newest", [True, False])
async def test_a_list_goes_on_behind_a_place(store: ItemStore, newest: bool) -> None:
    """Pages leave nothing out and show nothing twice, also where sort values are equal."""
    for number, started in enumerate((5, 5, 5, 7, 7, 9)):
        await store.put({"PK": f"I{number}", "SK": "META", "status": "running", "started": started})

    seen: list[str] = []
    after = None
    while page := await store.listed("by_status", "running", limit=2, newest=newest, after=after):
        seen += [item["PK"] for item in page]
        after = Place((page[-1]["PK"], page[-1]["SK"]), page[-1]["started"])

    assert sorted(seen) == [f"I{number}" for number in range(6)]
    assert len(seen) == 6


async def test_a_scan_finds_all_partitions_of_a_prefix(store: ItemStore) -> None:
    """For audits."""
    for pk in ("MSG#1", "MSG#2", "REQ#1"):
        await store.put({"PK": pk, "SK": "-"})

    assert sorted(item["PK"] for item in await store.scan("MSG#")) == ["MSG#1", "MSG#2"]


def test_both_tables_have_the_same_indexes() -> None:
    """Or a list would be empty in one of them."""
    assert {name: (index[0], index[1]) for name, index in DYNAMO_INDEXES.items()} == dict(MEMORY_INDEXES)


@given(
    item=st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(0, 3), st.sampled_from("xy"))),
    clauses=st.lists(
        st.lists(
            st.one_of(
                st.builds(Absent, st.sampled_from("abc")),
                st.builds(Equals, st.sampled_from("abc"), st.one_of(st.integers(0, 3), st.sampled_from("xy"))),
            ),
            min_size=1,
            max_size=3,
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_conditions_are_alternatives_of_clauses(item: dict[str, Any], clauses: list[list[Any]]) -> None:
    """Any alternative whose clauses all hold."""

    def one(clause: Any) -> bool:
        return clause.name not in item if isinstance(clause, Absent) else item.get(clause.name) == clause.value

    expected = any(all(one(clause) for clause in alternative) for alternative in clauses)

    assert holds(When(tuple(map(tuple, clauses))), item) is expected


# --- DynamoDB alone ------------------------------------------------------------------------------------------


class LosesAnswers:
    """A client whose every write is done twice, as botocore repeats a call whose answer was lost.

    ``between`` runs after the write that was done and before its repetition.
    """

    def __init__(self, client: Any, between: Callable[[], Any] | None = None) -> None:
        self._client = client
        self._between = between
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._client, name)
        if name not in ("put_item", "update_item"):
            return operation

        async def repeated(**arguments: Any) -> Any:
            await operation(**arguments)
            self.lost += 1
            if self._between is not None:
                await self._between()
            return await operation(**arguments)

        return repeated


async def test_a_write_whose_answer_was_lost_counts_as_done(dynamo_client: Any, dynamo_table: str) -> None:
    """botocore repeats by itself; the repetition finds its own writer's name."""
    client = LosesAnswers(dynamo_client)
    store = DynamoStore(client, dynamo_table)
    opened = {"PK": "P", "SK": "S", "state": "open"}

    await store.put(opened, NEW)
    item = await store.update(KEY, Change(set={"state": "answered"}), When.all(Equals("state", "open")))

    assert client.lost == 2
    assert item["state"] == "answered"
    with pytest.raises(ConditionFailedError):
        await DynamoStore(dynamo_client, dynamo_table).put(opened, NEW)


async def test_a_lost_answer_is_not_confused_with_anothers_write(dynamo_client: Any, dynamo_table: str) -> None:
    """Whoever wrote in between has the item now, and is told to the repetition."""
    other = DynamoStore(dynamo_client, dynamo_table)

    async def overwrite() -> None:
        await other.put({"PK": "P", "SK": "S", "by": "other"})

    store = DynamoStore(LosesAnswers(dynamo_client, overwrite), dynamo_table)

    with pytest.raises(ConditionFailedError) as lost:
        await store.put({"PK": "P", "SK": "S", "by": "us"}, NEW)

    assert plain(lost.value.item) == {"PK": "P", "SK": "S", "by": "other"}


async def test_a_repetition_by_the_client_itself_counts_as_done(dynamo_client: Any, dynamo_table: str) -> None:
    """The same through botocore's own retry: the first answer of a write never arrives."""
    broken: list[str] = []

    def lose(**arguments: Any) -> Any:
        name = arguments["operation_name"]
        if name == "UpdateItem" and name not in broken:
            broken.append(name)
            return botocore.exceptions.ConnectionClosedError(endpoint_url="lost")
        return None

    store = DynamoStore(dynamo_client, dynamo_table)
    await store.put({"PK": "P", "SK": "S", "state": "open"})
    original = dynamo_client._endpoint._do_get_response

    async def after_the_answer(request: Any, operation_model: Any, context: Any) -> Any:
        answer, failure = await original(request, operation_model, context)
        lost = lose(operation_name=operation_model.name)
        return (None, lost) if lost is not None else (answer, failure)

    dynamo_client._endpoint._do_get_response = after_the_answer
    item = await store.update(KEY, Change(set={"state": "answered"}), When.all(Equals("state", "open")))

    assert broken == ["UpdateItem"]
    assert item["state"] == "answered"


async def test_an_unreachable_table_is_one_sentence(dynamo_client: Any) -> None:
    """Not botocore's exception."""
    store = DynamoStore(dynamo_client, "no-such-table")

    with pytest.raises(ServiceUnavailableError, match="no-such-table: ResourceNotFoundException.*create the resources"):
        await store.get(KEY)
    with pytest.raises(ServiceUnavailableError):
        await store.put({"PK": "P", "SK": "S"})
    with pytest.raises(ServiceUnavailableError):
        await store.update(KEY, Change(set={"a": 1}))


async def test_the_servers_clock_is_read_from_an_answer(dynamo_client: Any, dynamo_table: str) -> None:
    """In milliseconds, to the second."""
    told = await DynamoStore(dynamo_client, dynamo_table).server_time()

    assert told is not None
    assert abs(told - time.time() * 1000) < 5_000


async def test_the_memory_table_has_no_clock() -> None:
    """Callers then trust their own."""
    assert await MemoryStore().server_time() is None
