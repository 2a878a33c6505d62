"""Imports point downwards only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "plugins" / "cch"
#: Each layer may import itself and those after it. Names of one row stand side by side.
LAYERS = (
    {"cli"},
    {"plugin"},
    {"api"},
    {"stack", "checkup"},
    {"compiler", "operators", "triggers", "scheduling"},
    {"runtime", "simulation"},
    {"capabilities"},
    {"aws"},
    {"messaging"},
    {"exchange"},
    {"ledger"},
    {"interpreter"},
    {"graph"},
    {"definition"},
    {"expressions"},
    {"provider", "settings_table"},
    {"envelope"},
    {"identity"},
    {
        "counting",
        "dialects",
        "errors",
        "event_types",
        "json_settings",
        "names",
        "settings",
        "durations",
        "metrics",
        "pauses",
        "tracing",
        "values",
        "__init__",
    },
)


def layer_of(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def imports(path: Path) -> set[str]:
    """First parts after ``cch.`` of what a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("cch.")}
    return found


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "testing" not in p.parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    """A layer knows nothing of what is above it."""
    relative = path.relative_to(PACKAGE)
    own = layer_of(relative.parts[0].removesuffix(".py"))

    for imported in imports(path) - {"testing"}:
        assert layer_of(imported) >= own, f"{relative} imports {imported}"


@pytest.mark.parametrize("package", ["definition", "graph", "interpreter", "simulation"])
def test_the_pure_layers_load_neither_airflow_nor_aws(package: str) -> None:
    """Definitions are checked and simulated in milliseconds, on a machine that has only Python."""
    code = (
        f"import pkgutil, importlib, sys, cch.{package} as p\n"
        "[importlib.import_module(f'{p.__name__}.{m.name}') for m in pkgutil.iter_modules(p.__path__)]\n"
        "print([n for n in ('airflow', 'boto3', 'botocore', 'aiobotocore') if n in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


#: Lets nothing be imported that is installed here, but not by the pins named in the first argument.
ONLY_PINNED = """
import importlib.abc, importlib.metadata, sys
pinned = {line.split("==")[0].lower() for line in open(sys.argv[1])} | {"cch-airflow"}
owners = importlib.metadata.packages_distributions()
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if (mine := owners.get(name)) and not {each.lower() for each in mine} & pinned:
            raise ModuleNotFoundError(f"{name} is not pinned in {sys.argv[1]}")
sys.meta_path.insert(0, Absent())
"""


def test_infra_loads_only_what_its_environment_has() -> None:
    """infra/ takes names from the program, and has an environment of its own with far fewer packages."""
    infra = PACKAGE.parents[1] / "infra"
    code = f"{ONLY_PINNED}\nsys.path.insert(0, {str(infra)!r})\nimport cch_infra.shared"

    answer = subprocess.run(
        [sys.executable, "-c", code, str(infra / "constraints.txt")], capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, answer.stderr


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Also not inside functions, or for their types only: two such modules are one idea in two files."""
    paths = {_module(path): path for path in PACKAGE.rglob("*.py")}
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in paths:
                inside = (f"{node.module}.{alias.name}" for alias in node.names)
                graph.add_edges_from((name, each if each in paths else node.module) for each in inside)

    circles = [each for each in nx.strongly_connected_components(graph) if len(each) > 1]

    assert circles == []


#: Packages on which others build. Each declares in its ``__init__`` what they may use.
DECLARING = (
    "capabilities",
    "definition",
    "exchange",
    "expressions",
    "graph",
    "identity",
    "interpreter",
    "ledger",
    "messaging",
)


def _declared(package: str) -> set[str]:
    for node in ast.parse((PACKAGE / package / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            return set(ast.literal_eval(node.value))
    return set()


def undeclared(source: str, package: str, declared: set[str]) -> list[str]:
    """What a module of another package imports of ``package`` and may not.

    Allowed are declared names of the package itself, and the public names of its declared modules.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        for alias in node.names if isinstance(node, ast.Import | ast.ImportFrom) else ():
            whole = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
            parts = whole.split(".")
            inside = parts[2:] if parts[:2] == ["cch", package] else []
            if inside and (inside[0] not in declared or any(part.startswith("_") for part in inside)):
                found.append(whole)
    return found


@pytest.mark.parametrize("package", DECLARING)
def test_others_use_what_a_package_declares(package: str) -> None:
    """What is not declared may change without anybody else."""
    declared = _declared(package)
    others = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != package]

    found = {str(path): wrong for path in others if (wrong := undeclared(path.read_text(), package, declared))}

    assert declared
    assert not found


@pytest.mark.parametrize("package", DECLARING)
def test_what_is_declared_is_there(package: str) -> None:
    """As a name of the package or one of its modules; that a module is declared loads it for nobody."""
    code = (
        f"import sys, importlib, cch.{package} as p\n"
        "loaded = [n for n in ('networkx', 'jsonschema', 'botocore') if n in sys.modules]\n"
        "missing = [n for n in p.__all__ if not hasattr(p, n) and not importlib.import_module(f'{p.__name__}.{n}')]\n"
        "print(loaded, missing)"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded, missing = ast.literal_eval(answer.stdout.strip().replace("] [", "], ["))
    assert not missing
    assert package not in ("definition", "graph", "ledger", "interpreter", "messaging") or not loaded


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("from cch.graph.plan import Plan", []),
        ("from cch.graph import plan", []),
        ("import cch.graph.plan", []),
        ("from cch.graph.plan import _Planner", ["cch.graph.plan._Planner"]),
        ("from cch.graph.codes import page", ["cch.graph.codes.page"]),
        ("from cch.graph import codes", ["cch.graph.codes"]),
        ("import cch.graph.codes", ["cch.graph.codes"]),
        ("def f():\n    from cch.graph.codes import page", ["cch.graph.codes.page"]),
        ("from cch.graphics import codes", []),
    ],
)
def test_an_import_that_is_not_declared_is_found(source: str, wrong: list[str]) -> None:
    """However it is written."""
    assert undeclared(source, "graph", {"plan"}) == wrong
