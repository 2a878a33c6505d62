"""Proves that the ledger balances, or says where it does not.

Looks at everything that is stored, so it costs a scan of the table. While work goes on, two items that belong
together are read at different times: only what a second look finds again is reported.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cch.counting import counted
from cch.identity import Scope
from cch.interpreter.replay import flow_of
from cch.ledger.leftovers import instance_of, leftovers
from cch.ledger.records import ENDED, FINAL, RegionKey
from cch.ledger.rollups import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cch.graph.plan import Plan
    from cch.ledger.ledger import Ledger
    from cch.ledger.records import Instance, InstanceView, JournalEntry
    from cch.ledger.store import Item, Key

#: The plan of the definition that an instance runs; None if the definition is lost.
PlanOf = Callable[["Instance"], Awaitable["Plan | None"]]

#: Fates that another step still has to make final.
_UNSETTLED = frozenset({"held", "claimed"})
#: Seconds between the two looks: longer than any step between two writes that belong together.
PAUSE = 2.0
#: Journals and instances that are read at the same time.
_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not add up: ``where`` is the item's key, ``mend`` what a person can do."""

    what: str
    where: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result: counts by fate, state and status, and the findings; none means that the ledger balances."""

    messages: Mapping[str, int]
    requests: Mapping[str, int]
    instances: Mapping[str, int]
    findings: tuple[Finding, ...] = ()

    @property
    def received(self) -> int:
        return sum(self.messages.values())


@dataclass(slots=True)
class _Books:
    """What one look has read, raw, by key."""

    messages: dict[str, Item] = field(default_factory=dict)
    requests: dict[str, Item] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    exits: dict[tuple[str, str], str] = field(default_factory=dict)
    pointers: list[Item] = field(default_factory=list)
    inbox: set[str] = field(default_factory=set)
    leftovers: Mapping[str, Sequence[Key]] = field(default_factory=dict)
    #: Batches, how many results each has (by its partition), and those that servers look for.
    batches: list[Item] = field(default_factory=list)
    batch_results: Counter[str] = field(default_factory=Counter)
    active: set[str] = field(default_factory=set)
    #: (workflow, day) → instances that are marked as counted, and ends that the figures have.
    marked: Counter[tuple[str, str]] = field(default_factory=Counter)
    figures: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    async def read(cls, ledger: Ledger) -> _Books:
        books, expiring = cls(), set[str]()
        # Causes before effects: what a scan misses because it is new, nothing that was read yet depends on.
        for item in await ledger.store.scan("INST#"):
            instance = item["PK"].removeprefix("INST#")
            if item["SK"] == "META":
                books.status[instance] = item["status"]
                if "counted" in item:
                    books.marked[item["workflow_id"], day_of(item["counted"])] += 1
                if "expiring" in item:
                    expiring.add(instance)
            elif item["SK"].startswith("EXIT#"):
                books.exits[instance, item["SK"].removeprefix("EXIT#")] = item["task_instance"]
        books.inbox = {start.instance for start in await ledger.mailboxes.starts()}
        books.pointers = [i for i in await ledger.store.scan("BOX#") if i["SK"].startswith("REQ#")]
        books.requests = {item["PK"].removeprefix("REQ#"): item for item in await ledger.store.scan("REQ#")}
        books.messages = {item["PK"]: item for item in await ledger.store.scan("MSG#")}
        books.leftovers = await leftovers(ledger)
        for item in await ledger.store.scan("BATCH"):
            if item["PK"] == "BATCHES" and item["SK"].startswith("active#"):
                books.active.add(item["SK"].removeprefix("active#"))
            elif item["SK"] == "META":
                books.batches.append(item)
            elif item["SK"].startswith("RESULT#"):
                books.batch_results[item["PK"]] += 1
        for rollup in await ledger.rollups.all():
            books.figures[rollup.key.workflow_id, rollup.key.day] += rollup.figures.ended.total()
        books.leave_out(expiring)
        return books

    def leave_out(self, expiring: set[str]) -> None:
        """Instances that are just being removed: a part of what belongs together is gone before the rest."""
        self.pointers = [item for item in self.pointers if instance_of(item) not in expiring]
        self.requests = {k: item for k, item in self.requests.items() if item.get("instance") not in expiring}
        self.messages = {k: item for k, item in self.messages.items() if item.get("instance") not in expiring}

    def ended(self, item: Item) -> bool:
        return self.status.get(item.get("instance", "")) in ENDED

    def answered(self) -> dict[str, Item]:
        return {command: item for command, item in self.requests.items() if item["state"] == "answered"}


def _message_findings(books: _Books) -> Iterator[Finding]:
    for key, message in books.messages.items():
        fate = message.get("fate", "")
        if fate not in FINAL | _UNSETTLED:
            yield Finding(
                what=f"the message has the fate {fate!r}, which does not exist: it is in no sum",
                where=key,
                mend="find out who wrote it: only the router writes messages",
            )
        elif fate in _UNSETTLED and books.ended(message):
            yield Finding(
                what=f"a reply is still {fate}, but its instance {message['instance']} has ended",
                where=key,
                mend="nothing waits for it any more: look at its body, then set its fate to late",
            )
        elif fate == "matched" and message.get("kind") == "ASYNC_RESP":
            yield from _matched_reply(books, key, message)


def _matched_reply(books: _Books, key: str, message: Item) -> Iterator[Finding]:
    command_id = message.get("claimed_for", "")
    request = books.requests.get(command_id)
    if request is None:
        yield Finding(
            what=f"a matched reply points at request {command_id or '(none)'}, which is not there",
            where=key,
            mend="restore the request from a backup of the table, or set the message's fate to orphan",
        )
    elif request.get("answered_by") != key:
        by = request.get("answered_by") or "nothing"
        yield Finding(
            what=f"a matched reply points at request {command_id}, which is {request['state']} by {by}",
            where=key,
            mend="set the message's fate to duplicate (the request was answered) or late (it was not)",
        )


def _request_findings(books: _Books) -> Iterator[Finding]:
    for command_id, request in books.requests.items():
        if request["state"] == "answered":
            message = books.messages.get(request.get("answered_by", ""), {})
            if message.get("claimed_for") != command_id or message.get("fate") != "matched":
                shown = request.get("answered_by") or "(none)"
                state = f"is {message['fate']}" if message else "is not there"
                yield Finding(
                    what=f"it was answered by message {shown}, which {state} and does not point back",
                    where=f"REQ#{command_id}",
                    mend="SQS delivers the message again and the router settles it; else set its fate to matched",
                )
        elif request["state"] == "open" and books.ended(request):
            yield Finding(
                what=f"the request is open, but its instance {request['instance']} has ended",
                where=f"REQ#{command_id}",
                mend="set its state to superseded: nobody waits for the reply",
            )
    for pointer in books.pointers:
        command_id = pointer["SK"].rsplit("#", 1)[1]
        closed = books.requests.get(command_id, {}).get("state", "open")
        if pointer.get("state") == "open" and closed != "open":
            yield Finding(
                what=f"the box says that request {command_id} is open, but it is {closed}",
                where=f"{pointer['PK']} / {pointer['SK']}",
                mend=f"set the pointer's state to {closed} and remove its open_capability",
            )


def _start_findings(books: _Books) -> Iterator[Finding]:
    for instance, status in books.status.items():
        if status == "pending" and instance not in books.inbox:
            yield Finding(
                what="the instance is pending, but no start of it is in the inbox: nothing will start it",
                where=f"INST#{instance}",
                mend="SQS delivers its message again, which repairs this; else start the work as a new instance",
            )


def _is_cited(command_id: str, request: Item, journal: Sequence[JournalEntry], exit_of: str | None) -> bool:
    """Whether the journal used the answer, went on to a later attempt, or may still do one of them."""
    newest = max((entry.task_instance for entry in journal if entry.kind == "try"), default="")
    if exit_of is None or newest > exit_of:
        return True
    for entry in journal:
        for outcome in entry.outcomes:
            same_visit = outcome.node == request["node"] and outcome.visit == request.get("visit", 0)
            if outcome.cause.get("command_id") == command_id:
                return True
            if same_visit and int(outcome.cause.get("attempt", 0)) > request.get("attempt", 0):
                return True
    return False


def _leftover_findings(books: _Books) -> Iterator[Finding]:
    for instance, keys in books.leftovers.items():
        yield Finding(
            what=f"{counted(len(keys), 'record')} of instance {instance}, which has expired or never was",
            where=" / ".join(keys[0]),
            mend="cch ledger expire --leftovers removes them",
        )


def _figure_findings(books: _Books) -> Iterator[Finding]:
    for (workflow, day), marked in books.marked.items():
        if (known := books.figures[workflow, day]) < marked:
            yield Finding(
                what=f"{counted(marked, 'instance')} marked as counted that ended on {day}; the figures have {known}",
                where=f"STATS#{workflow}",
                mend="restore the item of that day from a backup of the table: the figures of these are lost",
            )


def _batch_findings(books: _Books) -> Iterator[Finding]:
    for item in books.batches:
        batch_id = item["PK"].removeprefix("BATCH#")
        if item["state"] in ("running", "paused") and batch_id not in books.active:
            yield Finding(
                what=f"the batch is {item['state']}, but no server looks for it",
                where=item["PK"],
                mend=f"put an item BATCHES / active#{batch_id} with since = {item['created']}: a server then goes on",
            )
        if item["state"] == "done" and (known := books.batch_results[item["PK"]]) != item["total"]:
            yield Finding(
                what=f"the batch is done, but of its {counted(item['total'], 'instance')} {known} have a result",
                where=item["PK"],
                mend="restore its results from a backup of the table, or begin another batch for the rest",
            )


async def _gather(work: Iterable[Awaitable[list[Finding]]]) -> list[Finding]:
    """Run with a bound, so that an audit leaves room for the work itself."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(task: Awaitable[list[Finding]]) -> list[Finding]:
        async with gate:
            return await task

    return [finding for found in await asyncio.gather(*(one(task) for task in work)) for finding in found]


async def _citation_findings(ledger: Ledger, books: _Books) -> list[Finding]:
    regions: dict[RegionKey, dict[str, Item]] = {}
    for command_id, request in books.answered().items():
        scope = Scope(request.get("scope", ""))
        key = RegionKey(instance=request["instance"], region=request["region"], scope=scope)
        regions.setdefault(key, {})[command_id] = request

    async def region(key: RegionKey, answered: Mapping[str, Item]) -> list[Finding]:
        journal = await ledger.journal.read(key)
        exit_of = books.exits.get((key.instance, key.region))
        return [
            Finding(
                what=f"it was answered, but region {key.region} has ended and no outcome used the answer",
                where=f"REQ#{command_id}",
                mend="clear the region's task in Airflow: it then runs again with a new request",
            )
            for command_id, request in answered.items()
            if not _is_cited(command_id, request, journal, exit_of)
        ]

    return await _gather(region(key, answered) for key, answered in regions.items())


def _says(plan: Plan, view: InstanceView) -> str:
    return flow_of(plan, view.instance.context, view.outcomes(), view.instance.amendments).status()


async def _ending_findings(ledger: Ledger, books: _Books, plan_of: PlanOf) -> list[Finding]:
    async def instance(instance_id: str) -> list[Finding]:
        view = await ledger.instances.view(instance_id)
        plan = await plan_of(view.instance) if view else None
        if view is None or plan is None or view.instance.status in ENDED:
            return []
        status = _says(plan, view)
        if status == "running":
            return []
        return [
            Finding(
                what=f"its regions have left it {status}, but the instance is {view.instance.status}",
                where=f"INST#{instance_id}",
                mend="the DAG cch_commands mends this within minutes: is it switched on?",
            )
        ]

    live = [instance_id for instance_id, status in books.status.items() if status not in ENDED]
    return await _gather(instance(instance_id) for instance_id in live)


async def _look(ledger: Ledger, plan_of: PlanOf) -> Audit:
    books = await _Books.read(ledger)
    findings: list[Finding] = [
        *_message_findings(books),
        *_request_findings(books),
        *_start_findings(books),
        *_leftover_findings(books),
        *_figure_findings(books),
        *_batch_findings(books),
        *await _citation_findings(ledger, books),
        *await _ending_findings(ledger, books, plan_of),
    ]
    return Audit(
        messages=_counts(books.messages.values(), "fate"),
        requests=_counts(books.requests.values(), "state"),
        instances=dict(sorted(Counter(books.status.values()).items())),
        findings=tuple(sorted(findings, key=lambda finding: (finding.where, finding.what))),
    )


def _counts(items: Iterable[Mapping[str, Any]], attribute: str) -> dict[str, int]:
    return dict(sorted(Counter(str(item.get(attribute, "")) for item in items).items()))


async def audit(ledger: Ledger, plan_of: PlanOf, pause: float = PAUSE) -> Audit:
    """Check the whole ledger. ``pause`` (s) lies before the second look, which there is only after findings.

    :raises ServiceUnavailableError: the table does not answer.
    """
    first = await _look(ledger, plan_of)
    if not first.findings:
        return first
    await asyncio.sleep(pause)
    second = await _look(ledger, plan_of)
    stayed = tuple(finding for finding in second.findings if finding in first.findings)
    return Audit(messages=second.messages, requests=second.requests, instances=second.instances, findings=stayed)
