"""All hooks, and which of them this Airflow gets: asked anew only where another Airflow or release runs."""

from __future__ import annotations

from cch.scheduling import coming, idle_runs, lean_needs, pinning, prompt, resting, rewriting, whole_rounds
from cch.settings import Settings


def reasons_against(settings: Settings) -> dict[str, str]:
    """Hook → why it is not installed, in words that follow "because"; "" if it is.

    Tries out Airflow's code, which takes a second or two of a process that has not loaded the scheduler's.
    """
    asked = (
        *resting.HOOKS, idle_runs.HOOK, whole_rounds.HOOK, *lean_needs.HOOKS, coming.HOOK, prompt.HOOK, rewriting.HOOK,
    )  # fmt: skip
    return {
        pinning.HOOK.name: pinning.reason_against(),
        **{hook.name: hook.reason_against(settings) for hook in asked},
    }
