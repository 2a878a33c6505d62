"""Settings: one list, read from texts, and described by the same words everywhere."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from cch.errors import SettingsError
from cch.names import Names
from cch.settings import OPTIONS, Settings, load_settings
from cch.settings_table import table, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def nothing(_key: str) -> str | None:
    return None


def test_every_setting_can_be_given() -> None:
    """A field that is not in the list could never be set."""
    assert [option.key for option in OPTIONS] == [
        "env",
        "owner",
        "names",
        *(each.name for each in fields(Settings)[1:]),
    ]


def test_the_operators_table_is_today_s() -> None:
    """After a change of the list: ``make settings``."""
    page = PAGE.read_text("utf-8")

    assert written(page) == page
    for option in OPTIONS:
        assert f"`{option.variable}`" in table()


def test_what_the_triggerer_calls_is_bound_to_a_function_or_an_address() -> None:
    """A queue is asked and not called; what only code binds is known to workers alone."""
    bindings = '{"a": "lambda:f", "b": "https://there", "c": "http://there", "d": "sqs:q", "e": "ftp://x"}'
    given = {"CCH_CAPABILITY_BINDINGS": bindings}

    assert load_settings(given, nothing).awaited == frozenset()
    assert load_settings({"CCH_CALLS_IN_TRIGGERER": "on"}, nothing).awaited == frozenset()
    assert load_settings({**given, "CCH_CALLS_IN_TRIGGERER": "on"}, nothing).awaited == {"a", "b", "c"}


def test_nothing_given_is_the_defaults() -> None:
    """Also where a variable is there and empty."""
    assert load_settings({}, nothing) == Settings()
    assert load_settings({option.variable: "" for option in OPTIONS}, nothing) == Settings()


def test_each_kind_of_value_is_read() -> None:
    """Texts become what the field has."""
    given = {
        "CCH_ENV": "prod", "CCH_OWNER": "trade", "CCH_AWS_CONN_ID": "mine", "CCH_REFRESH_SECONDS": "0.5",
        "CCH_RETENTION_DAYS": "30", "CCH_LEAN_WAITERS": " Off ", "CCH_REPLY_CONSUMERS": "0",
        "CCH_CAPABILITY_MODULES": "one, two,,cch.capabilities",
    }  # fmt: skip

    assert load_settings(given, nothing) == Settings(
        names=Names(env="prod", owner="trade"), aws_conn_id="mine", refresh_seconds=0.5, retention_days=30,
        lean_waiters=False, reply_consumers=1, capability_modules=("cch.capabilities", "one", "two"),
    )  # fmt: skip
    assert isinstance(load_settings(given, nothing).retention_days, int)


def test_the_variable_comes_before_airflow_s_and_that_before_its_file() -> None:
    """As everywhere in Airflow."""
    both = {"CCH_CACHE_FOLDER": "/ours", "AIRFLOW__CCH__CACHE_FOLDER": "/airflow"}
    airflow = {"AIRFLOW__CCH__CACHE_FOLDER": "/airflow"}
    in_file = {"cache_folder": "/file"}

    assert load_settings(both, in_file.get).cache_folder == "/ours"
    assert load_settings(airflow, in_file.get).cache_folder == "/airflow"
    assert load_settings({}, in_file.get).cache_folder == "/file"


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("CCH_REFRESH_SECONDS", "soon", "CCH_REFRESH_SECONDS='soon' is no number"),
        ("CCH_RETENTION_DAYS", "inf", "CCH_RETENTION_DAYS='inf' is no number"),
        ("CCH_RETENTION_DAYS", "nan", "CCH_RETENTION_DAYS='nan' is no number"),
        ("CCH_SKIP_IDLE_RUNS", "perhaps", "CCH_SKIP_IDLE_RUNS='perhaps' is neither true nor false"),
        ("CCH_ENV", "a b", "CCH_ENV"),
    ],
)
def test_what_cannot_be_used_is_named(variable: str, text: str, said: str) -> None:
    """With its variable and what was given."""
    with pytest.raises(SettingsError, match=said):
        load_settings({variable: text}, nothing)
