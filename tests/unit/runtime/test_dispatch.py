"""Pending starts become runs; instances whose run ended without them are told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from workflows import definition_text
from workshop import NOW, Workshop

from cch.definition.version import Version
from cch.graph.planners import version_of
from cch.ledger.gates import Gate
from cch.ledger.instances import reopening
from cch.ledger.records import Instance
from cch.pauses import Pauses
from cch.runtime.dispatch import Dispatcher, RunRefused, RunState, StartRun
from cch.runtime.run_conf import CONF_CORRELATION, CONF_DIGEST, CONF_INSTANCE, CONF_VERSION
from cch.settings import Settings

NODES = "A: {type: async_request, capability_id: 'a#b', on_response: E, error_reply: failure}\nE: {type: end}"


@dataclass
class FakeRuns:
    """Airflow's runs: refuses as told, remembers what was started."""

    refusals: list[RunRefused] = field(default_factory=list)
    started: list[StartRun] = field(default_factory=list)
    states: dict[str, RunState] = field(default_factory=dict)
    looked_at: list[str] = field(default_factory=list)
    pinned: bool = True
    version: str = "3.3.1"
    asked: int = 0

    def pins(self, dag_id: str) -> bool:
        return self.pinned

    def reason_against_pinning(self) -> str:
        return "this Airflow is from the moon"

    def airflow(self) -> str:
        return self.version

    def reasons_against_hooks(self, settings: Settings) -> Mapping[str, str]:
        self.asked += 1
        return {"idle runs": "", "portions": f"Airflow {self.version} is another" if self.asked > 1 else ""}

    def start(self, run: StartRun) -> RunRefused | None:
        self.started.append(run)
        return self.refusals.pop(0) if self.refusals else None

    def state(self, dag_id: str, run_id: str) -> RunState:
        self.looked_at.append(run_id)
        return self.states.get(run_id, "running")


class Desk:
    """A dispatcher on a workshop, and starts for it."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.runs = FakeRuns()
        self.dispatcher = Dispatcher(workshop.platform, self.runs, 0.0, Pauses(longest=60.0, draw=lambda: 1.0))

    async def pending(self, name: str = "i1", **changes: Any) -> None:
        instance = Instance(
            id=name, workflow_id="w", correlation_id="BL", status="pending", started=NOW, context={"a": 1, "b": [2]},
            start_message="m",
        )  # fmt: skip
        await self.workshop.ledger.instances.create(replace(instance, **changes))
        await self.workshop.ledger.mailboxes.enqueue_start(name, changes.get("workflow_id", "w"), NOW)

    async def notes(self) -> dict[str, Any]:
        return {start.instance: start for start in await self.workshop.ledger.mailboxes.starts()}

    async def find(self, name: str = "i1") -> Instance:
        found = await self.workshop.ledger.instances.find(name)
        assert found is not None
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Workshop(folder=tmp_path, definitions={"w": definition_text(NODES, initial_context=["a"])}))


async def test_everything_that_is_due_is_started(desk: Desk) -> None:
    """A run whose id is the instance's; its conf has the required keys only, the rest is in the ledger."""
    await desk.pending("i2")
    await desk.pending("i1")

    started = await desk.dispatcher.drain()

    version = str(version_of(desk.workshop.definition))
    assert started == 2
    assert desk.runs.started[0] == StartRun(
        dag_id="w", run_id="i1",
        conf={"a": 1, CONF_INSTANCE: "i1", CONF_CORRELATION: "BL", CONF_VERSION: version},
    )  # fmt: skip
    assert [(await desk.find(name)).status for name in ("i1", "i2")] == ["running", "running"]
    assert await desk.notes() == {}


@pytest.mark.parametrize(
    "refusal",
    [
        RunRefused(status=404, reason="DAG w not found"),
        RunRefused(status=409, reason="conflict"),
        RunRefused(status=429, reason="slow down"),
        RunRefused(status=503, reason="starting"),
        RunRefused(status=400, reason="DAG w cannot be triggered: import_errors"),
    ],
)
async def test_what_passes_is_tried_again(desk: Desk, refusal: RunRefused) -> None:
    """A DAG that is not parsed yet, an Airflow that starts: longer and longer apart, and others go on."""
    await desk.pending("i1")
    await desk.pending("i2")
    desk.runs.refusals = [refusal]

    started = await desk.dispatcher.drain()

    note = (await desk.notes())["i1"]
    assert started == 1
    assert (await desk.find("i1")).status == "pending"
    assert (note.attempts, note.reason, note.due > NOW) == (1, refusal.reason, True)


async def test_pauses_grow_to_a_minute(desk: Desk) -> None:
    """Doubling from a second, if nothing is left to chance."""
    await desk.pending()
    pauses = []
    for _ in range(8):
        desk.runs.refusals = [RunRefused(status=404, reason="not yet")]
        before = desk.workshop.clock.now
        await desk.dispatcher.drain()
        due = (await desk.notes())["i1"].due
        pauses.append((due - before) // 1000)
        desk.workshop.clock.now = due

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_start_that_a_wrong_clock_received_begins_at_once(desk: Desk) -> None:
    """A triggerer whose clock is five minutes ahead must not hold it back for five minutes."""
    await desk.pending()
    desk.workshop.clock.advance(-300)

    assert await desk.dispatcher.drain() == 1


async def test_a_pause_that_a_wrong_clock_noted_is_not_believed(desk: Desk) -> None:
    """No pause is longer than a minute; one that seems so is over."""
    await desk.pending()
    desk.runs.refusals = [RunRefused(status=404, reason="not yet")]
    await desk.dispatcher.drain()
    desk.workshop.clock.advance(-300)

    assert await desk.dispatcher.drain() == 1


async def test_a_start_is_given_up_after_a_day(desk: Desk) -> None:
    """The instance then has failed, with the last reason."""
    await desk.pending()
    desk.workshop.clock.advance(24 * 3600 + 1)
    desk.runs.refusals = [RunRefused(status=404, reason="DAG w not found")]
    await desk.dispatcher.drain()

    found = await desk.find()
    assert (found.status, found.reason) == ("failed", "not started within a day: DAG w not found")
    assert await desk.notes() == {}


async def test_what_airflow_refuses_for_good_fails_the_instance(desk: Desk) -> None:
    """Trying again would not help."""
    await desk.pending()
    desk.runs.refusals = [RunRefused(status=400, reason="invalid conf")]
    await desk.dispatcher.drain()

    found = await desk.find()
    assert (found.status, found.reason) == ("failed", "Airflow refused the start: invalid conf")
    assert await desk.notes() == {}


async def test_a_start_without_a_definition_waits_for_it(desk: Desk) -> None:
    """It may have been removed by mistake."""
    await desk.pending("i1", workflow_id="gone")
    await desk.dispatcher.drain()

    note = (await desk.notes())["i1"]
    assert desk.runs.started == []
    assert "the definition was removed" in note.reason


async def test_a_start_of_an_ended_instance_is_dropped(desk: Desk) -> None:
    """Cancelled before it began."""
    await desk.pending()
    await desk.workshop.ledger.instances.end("i1", "cancelled", NOW)
    started = await desk.dispatcher.drain()

    assert (started, desk.runs.started, await desk.notes()) == (0, [], {})


async def test_a_death_after_the_run_was_made_starts_it_no_second_time(desk: Desk) -> None:
    """Airflow knows the run's id: created or exists is the same."""
    await desk.pending()
    original = desk.workshop.platform.ledger.mailboxes.remove_start
    calls: list[str] = []

    async def dies(instance: str) -> None:
        calls.append(instance)
        if len(calls) == 1:
            raise RuntimeError("died")
        await original(instance)

    desk.workshop.platform.ledger.mailboxes.remove_start = dies  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await desk.dispatcher.drain()
    desk.workshop.clock.advance(16)  # the start was in its hand
    await desk.dispatcher.drain()

    assert {run.run_id for run in desk.runs.started} == {"i1"}
    assert (await desk.find()).status == "running"
    assert await desk.notes() == {}


# --- versions ------------------------------------------------------------------------------------------------


def text_of(way: str) -> str:
    return definition_text(NODES.replace("a#b", way), initial_context=["a"])


async def test_a_start_begins_with_the_version_that_was_chosen_for_it(desk: Desk) -> None:
    """Another one was published between the command and the run: the run is told which version it is to have."""
    chosen = desk.workshop.definition
    desk.workshop.catalogue.keep(chosen)
    await desk.pending(definition_digest=chosen.digest, reading_rules=chosen.reading_rules)
    (desk.workshop.folder / "definitions" / "w.yaml").write_text(text_of("c#d"))

    await desk.dispatcher.drain()

    assert desk.runs.started[0].conf[CONF_VERSION] == str(version_of(chosen))
    assert (await desk.find()).definition_digest == chosen.digest


async def test_without_pinning_a_start_begins_with_what_is_published(desk: Desk) -> None:
    """Airflow begins every run with what it serves; the ledger says the same, and the digest lets Airflow refuse."""
    chosen = desk.workshop.definition
    await desk.pending(definition_digest=chosen.digest, reading_rules=chosen.reading_rules)
    (desk.workshop.folder / "definitions" / "w.yaml").write_text(text_of("c#d"))
    desk.runs.pinned = False

    await desk.dispatcher.drain()

    published = desk.workshop.catalogue.current("w").digest
    assert desk.runs.started[0].conf[CONF_DIGEST] == published
    assert CONF_VERSION not in desk.runs.started[0].conf
    assert (await desk.find()).definition_digest == published


async def test_without_pinning_a_version_that_was_asked_for_is_not_replaced(desk: Desk) -> None:
    """The start waits, and says why."""
    chosen = desk.workshop.definition
    await desk.pending(definition_digest=chosen.digest, reading_rules=chosen.reading_rules, version_asked="1")
    (desk.workshop.folder / "definitions" / "w.yaml").write_text(text_of("c#d"))
    desk.runs.pinned = False

    await desk.dispatcher.drain()

    assert desk.runs.started == []
    assert "version 1 was asked for" in (await desk.notes())["i1"].reason


async def test_without_pinning_the_planner_is_the_first(desk: Desk) -> None:
    """Whoever admitted the start did not know that this Airflow does not pin; the version is the one that was asked."""
    chosen = desk.workshop.definition
    await desk.pending(
        definition_digest=chosen.digest, reading_rules=chosen.reading_rules, planner=258, version_asked="1"
    )
    desk.runs.pinned = False

    await desk.dispatcher.drain()

    assert desk.runs.started[0].conf[CONF_DIGEST] == chosen.digest
    assert (await desk.find()).planner == 1


async def test_a_start_of_an_earlier_release_gets_its_version_when_it_is_dispatched(desk: Desk) -> None:
    """It was stored without one; from then on it keeps it."""
    await desk.pending()

    await desk.dispatcher.drain()

    assert (await desk.find()).version == version_of(desk.workshop.definition)


@pytest.mark.parametrize("pinned", [True, False])
async def test_whether_runs_are_pinned_is_reported(desk: Desk, pinned: bool) -> None:
    """Who publishes reads it, with the reason."""
    desk.runs.pinned = pinned

    await desk.dispatcher.reconcile()

    reported = await desk.workshop.ledger.versions.pinning()
    assert reported is not None
    assert (reported.pins, reported.reason) == (pinned, "" if pinned else "this Airflow is from the moon")
    assert reported.seen == desk.workshop.clock()


async def test_hooks_are_asked_for_only_where_something_else_runs(desk: Desk) -> None:
    """It takes a second of CPU, every minute; another Airflow is asked at once, and the same one after an hour."""
    for _ in range(3):
        await desk.dispatcher.reconcile()
    before, asked = await desk.workshop.ledger.versions.pinning(), desk.runs.asked
    desk.runs.version = "3.4.0"
    await desk.dispatcher.reconcile()
    upgraded, asked_again = await desk.workshop.ledger.versions.pinning(), desk.runs.asked
    desk.workshop.clock.advance(3600)
    await desk.dispatcher.reconcile()

    assert (asked, asked_again, desk.runs.asked) == (1, 2, 3)
    assert before is not None
    assert before.hooks is not None
    assert (before.hooks.airflow, before.hooks.reasons) == ("3.3.1", {"idle runs": "", "portions": ""})
    assert upgraded is not None
    assert upgraded.hooks is not None
    assert upgraded.hooks.reasons == {"idle runs": "", "portions": "Airflow 3.4.0 is another"}


# --- reconciliation ------------------------------------------------------------------------------------------


async def running(desk: Desk, *, minutes: int = 5) -> None:
    """An instance whose region waits for a reply, some time after its start."""
    await desk.workshop.create()
    instance = (await desk.workshop.view()).instance
    await desk.workshop.ledger.instances.begin(
        instance, instance.id, version_of(desk.workshop.definition), desk.workshop.plan.structure_digest
    )
    desk.workshop.catalogue.keep(desk.workshop.definition)
    desk.workshop.clock.advance(60 * minutes)


@pytest.mark.parametrize(
    ("state", "minutes", "status", "words"),
    [
        ("running", 5, "running", ""),
        ("unknown", 5, "running", ""),
        ("failed", 0, "running", ""),
        ("failed", 5, "failed", "ended as failed before every node was done"),
        ("success", 5, "failed", "ended as success before every node was done"),
        ("missing", 5, "failed", "is gone before every node was done"),
    ],
)
async def test_an_instance_whose_run_ended_without_it_is_told(
    desk: Desk, state: RunState, minutes: int, status: str, words: str
) -> None:
    """A person marked the run, or deleted it; what is unknown or young is left alone."""
    await running(desk, minutes=minutes)
    instance = (await desk.workshop.view()).instance.id
    desk.runs.states = {instance: state}

    mended = await desk.dispatcher.reconcile()

    found = (await desk.workshop.view()).instance
    assert (mended, found.status) == (int(status == "failed"), status)
    assert words in found.reason


def republish(desk: Desk, node: str) -> None:
    text = definition_text(NODES.replace("A:", f"{node}:"), initial_context=["a"], workflow_name="Again")
    (desk.workshop.folder / "definitions" / "w.yaml").write_text(text)


@pytest.mark.parametrize(("node", "pinned", "said"), [("A", False, False), ("B", False, True), ("B", True, False)])
async def test_another_structure_is_the_reason_that_is_named(desk: Desk, node: str, pinned: bool, said: bool) -> None:
    """Airflow's run has no task that would go on, and succeeds; a pinned run keeps its tasks, so that is no reason."""
    await running(desk)
    desk.runs.pinned = pinned
    republish(desk, node)
    desk.runs.states = {(await desk.workshop.view()).instance.id: "success"}

    await desk.dispatcher.reconcile()

    assert ("another structure" in (await desk.workshop.view()).instance.reason) == said


async def test_an_instance_that_has_not_begun_has_no_structure_yet(desk: Desk) -> None:
    """Whatever is published then is not the reason."""
    await desk.pending("i1", status="running", run_id="i1")
    republish(desk, "B")
    desk.workshop.clock.advance(300)
    desk.runs.states = {"i1": "missing"}

    await desk.dispatcher.reconcile()

    found = await desk.find("i1")
    assert (found.status, found.reason) == ("failed", "Airflow's run i1 is gone before every node was done")


async def test_an_instance_whose_definition_is_gone_holds_up_no_other(desk: Desk) -> None:
    """It cannot be seen whether it was complete: its run is gone, so it has failed; the next one is compared too."""
    for name in ("i1", "i2"):
        await desk.pending(name)
        await desk.workshop.ledger.instances.begin(await desk.find(name), name, Version("lost"), "lost")
    desk.workshop.clock.advance(300)
    desk.runs.states = {"i1": "missing", "i2": "missing"}

    assert await desk.dispatcher.reconcile() == 2
    assert [(await desk.find(name)).status for name in ("i1", "i2")] == ["failed", "failed"]


async def test_starts_that_wait_do_not_keep_others_from_being_compared(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DAG that does not import may hold a hundred of them back for a day."""
    monkeypatch.setattr("cch.runtime.dispatch._COMPARED", 2)
    for name in ("i1", "i2"):
        await desk.pending(name)
    await desk.pending("i3", status="running", run_id="i3", started=NOW + 1)
    desk.workshop.clock.advance(300)
    desk.runs.states = {"i3": "missing"}

    assert [await desk.dispatcher.reconcile() for _ in range(2)] == [0, 1]


async def test_open_requests_of_a_lost_run_are_superseded(desk: Desk) -> None:
    """Nobody waits for them; a late reply then is late, not an orphan."""
    workshop = desk.workshop
    workshop.answers = {"a#b": lambda _: None}
    await workshop.create()
    waiting = asyncio.create_task(workshop.run("A"))
    while not workshop.requests:
        await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    workshop.clock.advance(600)
    desk.runs.states = {(await workshop.view()).instance.id: "missing"}
    await desk.dispatcher.reconcile()
    await workshop.reply(workshop.requests[0], "SUCCESS", {})
    await workshop.deliver()

    (request,) = await workshop.all_requests()
    assert request.state == "superseded"
    assert workshop.postman.intake.fates == {"late": 1}


async def test_an_instance_that_is_complete_is_recorded_as_completed(desk: Desk) -> None:
    """Its last region left an exit but died before it recorded the end."""
    workshop = desk.workshop
    await workshop.create()
    await workshop.run("A")
    await workshop.ledger.instances.reopen((await workshop.view()).instance.id, 1)
    workshop.clock.advance(600)
    desk.runs.states = {(await workshop.view()).instance.id: "success"}

    await desk.dispatcher.reconcile()

    assert await workshop.status() == "completed"


async def test_an_instance_that_somebody_changes_is_not_ended_for_its_run(desk: Desk) -> None:
    """A retry lets the instance go on before Airflow's run does; behind its gate nobody ends it."""
    workshop = desk.workshop
    await workshop.create()
    await workshop.run("A")
    instance = (await workshop.view()).instance
    gate = Gate(kind="changing", by="ada", since=NOW)
    await workshop.ledger.gates.close(instance.id, gate, partial(reopening, now=NOW))
    workshop.clock.advance(600)
    desk.runs.states = {instance.id: "failed"}

    await desk.dispatcher.reconcile()
    meanwhile = await workshop.status()
    await workshop.ledger.gates.open(instance.id, gate)
    await desk.dispatcher.reconcile()

    assert (meanwhile, await workshop.status()) == ("running", "completed")


async def test_a_change_that_is_made_while_the_run_is_looked_at_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of the run was read before the change, and the instance after it."""
    workshop = desk.workshop
    await workshop.create()
    workshop.clock.advance(600)
    instance = (await workshop.view()).instance
    await workshop.ledger.instances.dispatched(instance.id, instance.id)
    gate = Gate(kind="changing", by="ada", since=NOW)
    loop, looks = asyncio.get_running_loop(), iter(range(10))

    async def change() -> None:
        await workshop.ledger.gates.close(instance.id, gate)
        await workshop.ledger.gates.open(instance.id, gate)

    def state(_dag_id: str, _run_id: str) -> str:
        if next(looks) == 1:
            asyncio.run_coroutine_threadsafe(change(), loop).result()
        return "failed"

    monkeypatch.setattr(desk.runs, "state", state)

    before = await workshop.status()
    await desk.dispatcher.reconcile()

    assert (next(looks), await workshop.status()) == (2, before)


async def test_the_least_recently_compared_come_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that cannot look at all goes on where it stopped."""
    monkeypatch.setattr("cch.runtime.dispatch._COMPARED", 2)
    for name in ("i1", "i2", "i3"):
        await desk.pending(name)
    await desk.dispatcher.drain()
    rounds = []
    for _ in range(2):
        desk.workshop.clock.advance(120)
        desk.runs.looked_at.clear()
        await desk.dispatcher.reconcile()
        rounds.append(set(desk.runs.looked_at))

    assert [len(names) for names in rounds] == [2, 2]
    assert rounds[0] | rounds[1] == {"i1", "i2", "i3"}


async def test_dispatchers_do_not_start_the_same(desk: Desk) -> None:
    """Four tasks may drain the inbox at once: Airflow would log each start that comes second as an error."""
    for number in range(20):
        await desk.pending(f"i{number}")
    others = [Dispatcher(desk.workshop.platform, desk.runs, 0.0) for _ in range(4)]

    started = await asyncio.gather(*(dispatcher.drain() for dispatcher in others))

    assert sum(started) == 20
    assert sorted(run.run_id for run in desk.runs.started) == sorted(f"i{number}" for number in range(20))


async def test_a_start_in_the_hand_of_a_dispatcher_that_died_is_started_by_another(desk: Desk) -> None:
    """After a moment in which it may have been busy."""
    await desk.pending()
    (start,) = await desk.workshop.ledger.mailboxes.starts()
    assert await desk.workshop.ledger.mailboxes.claim(start, desk.workshop.clock.now + 15_000)

    assert await desk.dispatcher.drain() == 0
    desk.workshop.clock.advance(16)
    assert await desk.dispatcher.drain() == 1


async def test_a_start_says_that_airflow_has_another_version_yet(desk: Desk) -> None:
    """Also while the DAG is the one that only shows what is wrong with the definition."""
    await desk.pending()
    desk.runs.refusals = [RunRefused(status=400, reason=f"Invalid input for param {CONF_DIGEST}")]

    await desk.dispatcher.drain()

    assert "only the DAG that says why there is none" in (await desk.notes())["i1"].reason
