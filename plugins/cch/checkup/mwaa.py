"""Amazon MWAA's side: what AWS tells of an environment. Nobody has a shell there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cch.aws.session import client, explained
from cch.checkup.airflow import SMALL_CAPACITY, is_too_old, judge_capacity, judge_idle_sleep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cch.checkup.findings import Findings
    from cch.settings import Settings

_CHANGING = ("CREATING", "CREATING_SNAPSHOT", "UPDATING", "ROLLING_BACK", "MAINTENANCE", "PENDING")
#: Airflow's default (s).
_IDLE_SLEEP = "1"


def look_at_mwaa(name: str, settings: Settings, waiters: int, found: Findings) -> None:
    """State, version and options of the environment ``name``; ``waiters``: how much the fullest triggerer waits for."""
    area = f"MWAA {name}"
    with found.looking(area, "check the name and the region, and allow airflow:GetEnvironment"):
        with explained(name):
            environment = client("mwaa", settings).get_environment(Name=name)["Environment"]
        _state(environment, area, found)
        _version(environment.get("AirflowVersion", ""), area, found)
        if not environment.get("PluginsS3Path") and not environment.get("RequirementsS3Path"):
            found.error(area, "has neither plugins nor requirements", "upload what `make mwaa-package` builds")
        _options(environment.get("AirflowConfigurationOptions", {}), settings, area, found)
        _capacity(environment.get("AirflowConfigurationOptions", {}), waiters, found)


def _state(environment: Mapping[str, Any], area: str, found: Findings) -> None:
    state, last = environment.get("Status", "unknown"), environment.get("LastUpdate", {})
    why = last.get("Error", {}).get("ErrorMessage", "")
    if state in _CHANGING:
        found.warn(area, f"is {state}", "look again when it is AVAILABLE")
    elif state != "AVAILABLE":
        found.error(area, f"is {state}{why and f': {why}'}", "mend what AWS names, and update the environment")
    elif last.get("Status") == "FAILED":
        found.error(
            area, f"its last update failed{why and f': {why}'}", "it runs as before: mend that and update again"
        )
    else:
        found.ok(area, f"is {state}, {environment.get('EnvironmentClass', '')}")


def _version(version: str, area: str, found: Findings) -> None:
    if not version:
        found.note(area, "AWS does not say which version of Airflow it has")
    elif is_too_old(version):
        found.error(area, f"Airflow {version} cannot start tasks in the triggerer", "upgrade it to 3.3 or newer")
    else:
        found.ok(area, f"Airflow {version}")


def _options(options: Mapping[str, str], settings: Settings, area: str, found: Findings) -> None:
    """Whether it works on the resources that the rest of this check looks at."""
    ours = {"cch.env": settings.names.env, "cch.owner": settings.names.owner}
    for option, expected in ours.items():
        if options.get(option) != expected:
            said = f"is {options[option]!r}" if option in options else "is not set"
            mend = f"set it to {expected!r}, or call this with CCH_ENV and CCH_OWNER as the environment has them"
            found.error(f"{area}, {option}", f"{said}, and the resources looked at are {expected!r}'s", mend)


def _capacity(options: Mapping[str, str], waiters: int, found: Findings) -> None:
    capacity = options.get("triggerer.capacity", str(SMALL_CAPACITY))
    idle = options.get("scheduler.scheduler_idle_sleep_time", _IDLE_SLEEP)
    try:
        judge_capacity(int(capacity), waiters, found)
        judge_idle_sleep(float(idle), found)
    except ValueError:
        what = f"triggerer.capacity is {capacity!r}, scheduler.scheduler_idle_sleep_time {idle!r}"
        found.error("options", what, "give numbers")
