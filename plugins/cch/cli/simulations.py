"""``cch simulate`` and ``cch test``: scenarios in virtual time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import typer
from rich.text import Text

from cch.cli.drawing import load_file
from cch.cli.output import complain, note, print_json, say, show, table
from cch.cli.reading import read_files
from cch.definition.model import Definition
from cch.errors import DefinitionError, WrongUseError
from cch.graph.build import build_graph
from cch.settings import load_settings
from cch.simulation.scenario import Scenario, read_scenario
from cch.simulation.simulator import Simulated, differences, simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One scenario that was run: what differs from what was expected, and how long it took (s)."""

    scenario: Scenario
    definition: Definition
    result: Simulated
    problems: tuple[str, ...]
    seconds: float


def load_scenario(path: Path) -> Scenario:
    """:raises WrongUseError: no such file. :raises DefinitionError: what is wrong with it."""
    texts, problems = read_files([path]) if path.is_file() else ({}, [])
    if problems:
        raise DefinitionError(problems)
    if not texts:
        raise WrongUseError(f"there is no scenario {path}")
    scenario = read_scenario(texts[str(path)], str(path))
    for each in scenario.notes:
        note(str(each))
    return scenario


def run_one(definition_path: Path, scenario_path: Path, *, as_json: bool) -> None:
    """Simulate; leave with 1 if the scenario's expectations are not met."""
    definition, scenario = load_file(definition_path), load_scenario(scenario_path)
    result = simulate(definition, scenario, load_settings())
    problems = [*_unfinished(scenario, result), *differences(result, scenario.expect)]
    if as_json:
        print_json({**result.as_json(), **({"differences": problems} if scenario.expect else {})})
    else:
        _show(definition, scenario, result)
        for problem in problems:
            complain(problem)
    if problems:
        raise typer.Exit(1)


def _unfinished(scenario: Scenario, result: Simulated) -> list[str]:
    """That the simulation could not tell how it ends, unless that is what the scenario is about."""
    if result.status not in ("stopped", "rejected") or scenario.expect.get("status") == result.status:
        return []
    return [result.errors[-1]["message"]]


def _show(definition: Definition, scenario: Scenario, result: Simulated) -> None:
    say(f"{definition.workflow_id}: {scenario.name}")
    say(f"{result.status} after {_duration(result.elapsed_seconds)}")
    show(table("visited", ("#", "node"), [(str(n), node) for n, node in enumerate(result.visited, 1)]))
    if result.requests:
        show(table("requests", ("capability", "number"), [(k, str(v)) for k, v in sorted(result.requests.items())]))
    for node in result.waiting_for:
        say(f"waits at {node}")
    for error in result.errors:
        say(f"error {error['code']} at {error['node'] or '-'}: {error['message']}")
    say(json.dumps(result.as_json()["context"], indent=2, ensure_ascii=False))


def _duration(seconds: float) -> str:
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{value:g}{unit}" for value, unit in parts if value) or "0s"


def _scenario_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise WrongUseError(f"{path} does not exist")
    files = sorted(f for f in path.rglob("*") if f.suffix in (".yaml", ".yml") and not f.name.startswith("."))
    if not files:
        raise WrongUseError(f"there is no scenario (*.yaml) in {path}")
    return files


def _definition_of(scenario: Scenario, definitions: Path, known: dict[str, Definition]) -> Definition:
    """The definition that a scenario is about: its ``workflow``, else the name of its folder."""
    workflow = scenario.workflow or Path(scenario.file).parent.name
    if workflow not in known:
        path = definitions / f"{workflow}.yaml"
        if not path.is_file():
            raise WrongUseError(f"{scenario.file}: no definition {path}: name one under the key 'workflow'")
        known[workflow] = load_file(path)
    return known[workflow]


def _tests(path: Path, definitions: Path) -> Iterator[Tested]:
    known: dict[str, Definition] = {}
    settings = load_settings()
    for file in _scenario_files(path):
        scenario = load_scenario(file)
        definition = _definition_of(scenario, definitions, known)
        begun = time.perf_counter()
        result = simulate(definition, scenario, settings)
        problems = (*_unfinished(scenario, result), *differences(result, scenario.expect))
        yield Tested(
            scenario=scenario,
            definition=definition,
            result=result,
            problems=problems,
            seconds=time.perf_counter() - begun,
        )


def _coverage(tests: Sequence[Tested]) -> list[tuple[str, str, str, str]]:
    """(workflow, nodes, ways, what was never taken) of each definition."""
    rows = []
    by_id: dict[str, list[Tested]] = {}
    for test in tests:
        by_id.setdefault(test.definition.workflow_id, []).append(test)
    for workflow, ran in sorted(by_id.items()):
        graph = build_graph(ran[0].definition)
        ways = {(edge.source, edge.label) for edge in graph.edges if not edge.implied and edge.label != "item"}
        taken = {(o, label) for test in ran for o, label in test.result.edges}
        taken |= {(s, e.label) for s, label in taken if label == "branches" for e in graph.outgoing(s)}
        visited = {name.split("[")[0] for test in ran for name in test.result.visited}
        nodes = set(graph.nodes)
        missing = sorted(nodes - visited) + sorted(f"{s} {label}" for s, label in ways - taken if s in visited)
        rows.append(
            (workflow, f"{len(nodes & visited)}/{len(nodes)}", f"{len(ways & taken)}/{len(ways)}", ", ".join(missing))
        )
    return rows


def _junit(tests: Sequence[Tested], file: Path) -> None:
    failed = sum(bool(test.problems) for test in tests)
    suite = ET.Element("testsuite", name="cch scenarios", tests=str(len(tests)), failures=str(failed))
    for test in tests:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=test.definition.workflow_id,
            name=test.scenario.name,
            time=f"{test.seconds:.3f}",
        )
        if test.problems:
            ET.SubElement(case, "failure", message=test.problems[0]).text = "\n".join(test.problems)
    file.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def run_all(path: Path, *, definitions: Path, junit: Path | None, as_json: bool) -> None:
    """Run every scenario below ``path``; leave with 1 if one is not as expected."""
    tests = list(_tests(path, definitions))
    if junit:
        _junit(tests, junit)
    coverage = _coverage(tests)
    if as_json:
        print_json({"scenarios": [_data(test) for test in tests], "coverage": [_coverage_data(c) for c in coverage]})
    else:
        rows = [
            (t.definition.workflow_id, t.scenario.name, _duration(t.result.elapsed_seconds), _verdict(t)) for t in tests
        ]
        show(table("scenarios", ("workflow", "scenario", "virtual time", "result"), rows))
        for test in tests:
            for problem in test.problems:
                complain(f"{test.scenario.file}: {problem}")
        show(table("coverage", ("workflow", "nodes", "ways", "never taken"), coverage))
    if any(test.problems for test in tests):
        raise typer.Exit(1)


def _verdict(test: Tested) -> Text:
    return Text("failed", "red") if test.problems else Text("passed", "green")


def _data(test: Tested) -> Mapping[str, object]:
    return {
        "workflow_id": test.definition.workflow_id,
        "name": test.scenario.name,
        "file": test.scenario.file,
        "ok": not test.problems,
        "differences": list(test.problems),
        **test.result.as_json(),
    }


def _coverage_data(row: tuple[str, str, str, str]) -> Mapping[str, str]:
    return dict(zip(("workflow_id", "nodes", "ways", "never_taken"), row, strict=True))
