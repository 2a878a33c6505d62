"""What people install on their Airflow has no local stack, no stand-ins and no samples in it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from tests.patience import run

from cch.cli.workshop import COMMANDS

ROOT = Path(__file__).parents[2]
#: Python without the packages of ``cch-dev``, as where only ``cch-airflow`` is installed.
WITHOUT = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[:2] in (["cch", "stack"], ["cch", "testing"]):
            # None in sys.modules is what Python itself remembers of a module that is not there.
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
plain = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return plain(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
"""
#: They are loaded only where the local stack is.
BESIDE = ("cch.cli.stack", "cch.checkup.local_stack")
PROGRAM = f"{WITHOUT}\nfrom cch.cli.main import run\nrun()\n"
EVERYTHING = f"""{WITHOUT}
import importlib, pkgutil, warnings
import cch
warnings.simplefilter("ignore")
for module in pkgutil.walk_packages(cch.__path__, "cch."):
    if module.name.split(".")[1] not in ("stack", "testing") and module.name not in {BESIDE!r}:
        importlib.import_module(module.name)
"""


def python(code: str, *arguments: str, folder: Path):
    return run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env={"HOME": str(folder), "AIRFLOW_HOME": str(folder)}
    )


@pytest.mark.parametrize("command", [*COMMANDS, "up --only aws"])
def test_a_command_of_the_local_stack_says_what_to_install(tmp_path, command):
    """One sentence and the exit code of wrong use; no traceback."""
    result = python(PROGRAM, *command.split(), folder=tmp_path)

    assert (result.returncode, result.stdout) == (2, "")
    assert "cch-dev" in result.stderr
    assert "Traceback" not in result.stderr


def test_everything_else_works_without_it(tmp_path):
    """Validating, and a help that names the commands."""
    (tmp_path / "w.yaml").write_text("{workflow_id: w, workflow_name: W, entry_point: E, nodes: {E: {type: end}}}")

    assert python(PROGRAM, "validate", "w.yaml", folder=tmp_path).returncode == 0
    assert "cch-dev" in python(PROGRAM, "--help", folder=tmp_path).stdout


def test_no_module_of_the_product_needs_the_workshop(tmp_path):
    """Whatever is installed can be imported where the workshop is not."""
    result = python(EVERYTHING, folder=tmp_path)

    assert result.returncode == 0, result.stderr


def test_the_two_packages_have_everything_once():
    """What the one leaves out, the other has, in the same version."""
    product = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folder = ROOT / "deploy" / "cch-dev"
    workshop = tomllib.loads((folder / "pyproject.toml").read_text())
    left_out = product["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
    version = product["project"]["version"]

    included = workshop["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    assert {(folder / source).resolve() for source in included} == {ROOT / source for source in left_out}
    assert workshop["project"]["version"] == version
    assert workshop["project"]["dependencies"] == [f"cch-airflow[stack]=={version}"]
