"""What the check finds in an environment of Amazon MWAA; the answers have the service's shape, as botocore knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from cch.aws.session import client
from cch.checkup.findings import Findings
from cch.checkup.mwaa import look_at_mwaa
from cch.names import Names
from cch.settings import Settings

SETTINGS = Settings(names=Names(env="prod", owner="trade"))
OPTIONS = {
    "cch.env": "prod", "cch.owner": "trade", "triggerer.capacity": "10000",
    "scheduler.scheduler_idle_sleep_time": "0.2",
}  # fmt: skip
HEALTHY = {
    "Name": "e", "Status": "AVAILABLE", "AirflowVersion": "3.3.1", "PluginsS3Path": "plugins.zip",
    "EnvironmentClass": "mw1.small", "AirflowConfigurationOptions": OPTIONS,
}  # fmt: skip

Look = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def look(aws_environment: None) -> Look:
    def looked(waiters: int = 0, **changed: Any) -> dict[str, tuple[str, str]]:
        found = Findings()
        environment = {name: value for name, value in {**HEALTHY, **changed}.items() if value is not None}
        with Stubber(client("mwaa", SETTINGS)) as stub:
            answer = {"Environment": environment}
            stub.add_response("get_environment", answer, {"Name": "e"})
            look_at_mwaa("e", SETTINGS, waiters, found)
        assert all(f.mend for f in found.all if f.level in ("warning", "error"))
        return {f.area: (f.level, f.what) for f in found.all if f.level != "ok"}

    return looked


def test_a_healthy_environment(look: Look) -> None:
    """Nothing to say."""
    assert look() == {}


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({"Status": "UPDATING"}, "warning", "UPDATING"),
        (
            {"Status": "CREATE_FAILED", "LastUpdate": {"Error": {"ErrorMessage": "no route to the internet"}}},
            "error",
            "is CREATE_FAILED: no route to the internet",
        ),
        (
            {"LastUpdate": {"Status": "FAILED", "Error": {"ErrorMessage": "requirements.txt"}}},
            "error",
            "its last update failed: requirements.txt",
        ),
        ({"AirflowVersion": "2.10.3"}, "error", "2.10.3 cannot start tasks in the triggerer"),
        ({"PluginsS3Path": None}, "error", "neither plugins nor requirements"),
    ],
)
def test_what_is_wrong_with_the_environment(look: Look, changed: dict[str, Any], level: str, words: str) -> None:
    """Its state with AWS's reason, its version, and whether our plugin is there."""
    found = look(**changed)["MWAA e"]

    assert found[0] == level
    assert words in found[1]


def test_an_environment_of_other_resources(look: Look) -> None:
    """Resources are found by name: an environment with other names works on others than those looked at."""
    found = look(AirflowConfigurationOptions={**OPTIONS, "cch.env": "test"})

    assert found == {"MWAA e, cch.env": ("error", "is 'test', and the resources looked at are 'prod''s")}


def test_options_that_were_left_out(look: Look) -> None:
    """Airflow's defaults count."""
    found = look(AirflowConfigurationOptions={"cch.env": "prod", "cch.owner": "trade"})

    assert found["[triggerer] capacity"][0] == "warning"
    assert found["[scheduler] scheduler_idle_sleep_time"] == ("note", "is 1 s, and each hop waits for it")
    assert look(waiters=8_000)["[triggerer] capacity"] == ("warning", "is 10000, and 8000 waits fill it")


def test_answers_that_say_too_little(look: Look) -> None:
    """No version, and an option that is no number."""
    found = look(AirflowVersion=None, AirflowConfigurationOptions={**OPTIONS, "triggerer.capacity": "many"})

    assert found["MWAA e"][0] == "note"
    assert found["options"][0] == "error"
    assert "'many'" in found["options"][1]


def test_an_environment_that_is_not_there(aws_environment: None) -> None:
    """One finding with AWS's own words, and where to look."""
    found = Findings()
    with Stubber(client("mwaa", SETTINGS)) as stub:
        stub.add_client_error("get_environment", "ResourceNotFoundException", "Environment e not found")
        look_at_mwaa("e", SETTINGS, 0, found)

    (finding,) = found.all
    assert (finding.level, "Environment e not found" in finding.what) == ("error", True)
