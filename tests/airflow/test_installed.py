"""What an Airflow finds in the installed package: the plugin once, and its settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from airflow.configuration import conf

from cch.provider import get_provider_info
from cch.settings import Settings, load_settings
from tests.airflow.telling import told_by

pytestmark = pytest.mark.hooks

ROOT = Path(__file__).resolve().parents[2]
#: Loads the plugins as a command of Airflow's; whether each change was installed once, and the warnings.
CHANGE = """
import importlib, json, sys
from cch import plugin
from cch.scheduling import probing
installed, said = [], []
probing.log.warning = lambda text, *values: said.append(text % values)
for name in plugin._CHANGES[sys.argv[1]]:
    module = importlib.import_module(f"cch.scheduling.{name}")
    def install(settings, name=name, plain=module.install):
        installed.append(name)
        return plain(settings)
    module.install = install
from airflow.plugins_manager import ensure_plugins_loaded
ensure_plugins_loaded()
print(json.dumps([installed == list(plugin._CHANGES[sys.argv[1]]), said]))
"""


@pytest.mark.parametrize("folder", ["plugins", "none"])
def test_the_plugin_is_there_once(folder: str, tmp_path: Path) -> None:
    """With and without the plugins folder, and without an import error, which Airflow would show."""
    code = (
        "from airflow.plugins_manager import _get_plugins\n"
        "plugins, errors = _get_plugins()\n"
        "print([plugin.name for plugin in plugins], errors)"
    )
    path = ROOT / "plugins" if folder == "plugins" else tmp_path
    variables = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(path), "AIRFLOW_HOME": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )

    assert answer.stdout.splitlines()[-1] == "['cch'] {}"


@pytest.mark.parametrize("command", ["dag-processor", "dags", "scheduler", "triggerer"])
def test_a_process_of_airflow_is_changed_once_and_without_a_warning(command: str, tmp_path: Path) -> None:
    """What a hook tries out may load the plugins again, while they are being loaded."""
    told = told_by(CHANGE, command, AIRFLOW__CORE__PLUGINS_FOLDER=str(tmp_path), AIRFLOW_HOME=str(tmp_path))

    assert told == [True, []]


#: As above, where one change fails in a way that nobody has thought of.
FAILING = """
import importlib, json, logging, sys
from cch import plugin
installed, said = [], []
logging.getLogger("cch.plugin").warning = lambda text, *values: said.append(text % values)
for number, name in enumerate(plugin._CHANGES["scheduler"]):
    def install(settings, name=name, number=number):
        installed.append(name)
        if not number:
            raise AttributeError("gone")
    importlib.import_module(f"cch.scheduling.{name}").install = install
plugin.change("scheduler")
print(json.dumps([installed == list(plugin._CHANGES["scheduler"]), said]))
"""


def test_a_change_that_fails_costs_no_other(tmp_path: Path) -> None:
    """Nor the plugin, which Airflow would leave out with its pages and its API."""
    told = told_by(FAILING, "scheduler", AIRFLOW__CORE__PLUGINS_FOLDER=str(tmp_path), AIRFLOW_HOME=str(tmp_path))

    assert told[0] is True
    (said,) = told[1]
    assert said.startswith("the scheduler works as ever, as far as ")
    assert said.endswith("would change it: AttributeError('gone')")


def test_the_provider_information_has_airflow_s_form() -> None:
    """Airflow refuses to start its provider manager on a bad one."""
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())

    jsonschema.validate(get_provider_info(), schema)


def test_every_setting_is_an_option_of_airflow_with_the_same_default() -> None:
    """`airflow config list` and the program never disagree."""
    options = get_provider_info()["config"]["cch"]["options"]
    names = {field.name for field in fields(Settings)} - {"names"}

    assert set(options) == names | {"env", "owner", "names"}
    assert load_settings({}, lambda key: options[key]["default"]) == Settings()


def test_every_option_to_set_on_mwaa_exists() -> None:
    """A misspelt one would do nothing, silently."""
    options = json.loads((ROOT / "deploy" / "mwaa" / "configuration.json").read_text())

    described = conf.configuration_description
    unknown = [name for name in options if name.split(".")[1] not in described[name.split(".")[0]]["options"]]

    assert not unknown
