"""Lets a triggerer tell Airflow at once what has ended, and look often for what follows (:mod:`cch.triggers.pulse`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cch.scheduling.probing import Hook, Need, mentions
from cch.triggers.pulse import Pulse, pulse_of

if TYPE_CHECKING:
    from cch.settings import Settings


class _Anyio:
    """The module ``anyio``, for the one place of Airflow's that makes an event; everything else is anyio's."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def Event(self) -> Pulse:  # noqa: N802 - anyio's name
        return pulse_of(self._module.Event())


def install(settings: Settings) -> bool:
    """Let the triggerer of this process, and the one that it forks, look sooner; whether it does. Once is enough."""
    if not HOOK.may_be_installed(settings):
        return False
    from airflow.jobs import triggerer_job_runner  # noqa: PLC0415

    if not isinstance(triggerer_job_runner.anyio, _Anyio):
        triggerer_job_runner.anyio = _Anyio(triggerer_job_runner.anyio)
    return True


def _sleeps_until_an_event() -> bool:
    import anyio  # noqa: PLC0415
    from airflow.jobs import triggerer_job_runner  # noqa: PLC0415
    from airflow.jobs.triggerer_job_runner import TriggerRunner  # noqa: PLC0415

    found = triggerer_job_runner.anyio
    module = found._module if isinstance(found, _Anyio) else found  # noqa: SLF001
    return module is anyio and mentions(TriggerRunner.arun, "anyio", "Event", "_stop_event", "move_on_after", "wait")


def _handles_messages_as_they_come() -> bool:
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor  # noqa: PLC0415

    return mentions(TriggerRunnerSupervisor.run_once, "load_triggers", "_service_subprocess", "handle_events")


HOOK = Hook(
    name="prompt triggers",
    switch="run_ahead",
    without="a triggerer looks once a second for what has ended and what is to begin",
    needs=(
        Need("a triggerer sleeps otherwise between two looks", _sleeps_until_an_event),
        Need("a triggerer handles what its triggers tell otherwise", _handles_messages_as_they_come),
    ),
)
