"""The self-check: what an operator of MWAA has in the place of a shell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

from fastapi import APIRouter

from cch import __version__
from cch.api.access import AccessDep
from cch.api.backend import Backend, BackendDep
from cch.api.mapping import at
from cch.api.models import Check, HealthView, QueueView, RouterView, UserView
from cch.api.problems import responses
from cch.errors import CchError, ServiceUnavailableError
from cch.runtime.platform import Platform, now_ms
from cch.runtime.pulse import pulse
from cch.settings import load_settings

router = APIRouter(tags=["health"])


@dataclass(slots=True)
class _Report:
    checks: list[Check] = field(default_factory=list)
    routers: list[RouterView] = field(default_factory=list)
    queues: list[QueueView] = field(default_factory=list)
    pending: int | None = None
    oldest: float | None = None

    def add(self, name: str, ok: bool, detail: str = "") -> None:  # noqa: FBT001 - reads well at its calls
        self.checks.append(Check.model_validate({"name": name, "ok": ok, "detail": detail[:500]}))


async def _queue(platform: Platform, report: _Report, name: str, full_name: str) -> None:
    try:
        depth = await platform.queues.depth(full_name)
    except CchError as error:
        report.queues.append(QueueView(name=full_name))
        report.add(name, ok=False, detail=str(error))
        return
    if depth is None:
        report.queues.append(QueueView(name=full_name))
        report.add(name, ok=False, detail="there is no such queue")
        return
    report.queues.append(QueueView(name=full_name, messages=depth.ready, in_flight=depth.in_flight))
    report.add(name, ok=True)


async def _table(backend: Backend, report: _Report, now: int) -> None:
    try:
        async with backend.reading() as platform:
            seen = await pulse(platform.ledger, now)
    except ServiceUnavailableError as error:
        report.add("table", ok=False, detail=str(error))
        report.add("router", ok=False, detail="unknown: routers report to the table")
        report.add("dispatcher", ok=False, detail="unknown: starts wait in the table")
        return
    report.add("table", ok=True)
    report.routers = [
        RouterView(
            id=each.id,
            seen=at(each.seen),
            age_seconds=max(0, now - each.seen) / 1000,
            waiters=each.waiters,
            takes_commands=each.commands,
        )
        for each in seen.routers
    ]
    said = seen.complaint and f"{seen.complaint}: is a triggerer running, and the DAG cch_commands not paused?"
    report.add("router", ok=not said, detail=said)
    report.pending = len(seen.starts)
    report.oldest = max(0, now - min(start.since for start in seen.starts)) / 1000 if seen.starts else None
    said = f"{seen.slow[0].instance} waits for its run: {seen.slow[0].reason}" if seen.slow else ""
    report.add("dispatcher", ok=not said, detail=said)


async def _definitions(platform: Platform, report: _Report) -> None:
    snapshot = await asyncio.to_thread(platform.catalogue.snapshot)
    report.add("definitions", ok=not snapshot.outage, detail=snapshot.outage)


async def _looked(report: _Report, name: str, work: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(8):
            await work
    except (CchError, TimeoutError) as error:
        report.add(name, ok=False, detail=str(error) or "no answer within 8 s")


async def _look(backend: Backend) -> HealthView:
    from airflow import __version__ as airflow_version  # noqa: PLC0415

    settings, report, now = load_settings(), _Report(), now_ms()
    names = settings.names
    try:
        platform = await backend.platform()
    except ServiceUnavailableError as error:
        for name in ("table", "command_queue", "reply_queue", "definitions", "router", "dispatcher"):
            report.add(name, ok=False, detail=str(error))
    else:
        await asyncio.gather(
            _looked(report, "table", _table(backend, report, now)),
            _looked(report, "command_queue", _queue(platform, report, "command_queue", names.command_queue)),
            _looked(report, "reply_queue", _queue(platform, report, "reply_queue", names.reply_queue)),
            _looked(report, "definitions", _definitions(platform, report)),
        )
    return HealthView(
        status="ok" if all(check.ok for check in report.checks) else "degraded",
        version=__version__,
        airflow_version=airflow_version,
        environment=f"{names.env}-{names.owner}",
        checks=sorted(report.checks, key=lambda check: check.name),
        routers=report.routers,
        queues=sorted(report.queues, key=lambda queue: queue.name),
        pending_starts=report.pending,
        oldest_command_seconds=report.oldest,
        at=at(now),
    )


@router.get("/health", response_model=HealthView, responses=responses())
async def health(access: AccessDep, backend: BackendDep) -> HealthView:  # noqa: ARG001 - a user must be logged in
    """The self-check: version, queues, table, definitions, routers, and starts that wait for their run.

    200 also when something is wrong: `status` says it. `oldest_command_seconds` is of starts that have been taken off
    the queue; what SQS still holds has a count (`queues`), and its age in CloudWatch (ApproximateAgeOfOldestMessage).
    """
    view = await backend.shared.get(("health",), lambda: _look(backend))
    assert isinstance(view, HealthView)
    return view


@router.get("/me", response_model=UserView, responses=responses())
async def me(access: AccessDep) -> UserView:
    """Who you are."""
    return UserView(name=access.name, can_see_everything=await access.may_read_everything())
