"""``cch test``: all scenarios of a folder in virtual time, what they cover, and what they would notice."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import typer
from rich.text import Text

from cch.cli.drawing import load_file
from cch.cli.output import complain, note, print_json, say, show, table
from cch.cli.simulations import agreement_notes, duration, load_scenario, unfinished
from cch.definition.model import Definition
from cch.errors import DefinitionError, WrongUseError
from cch.graph.build import build_graph
from cch.settings import Settings, load_settings
from cch.simulation.mutants import Mutant, mutants
from cch.simulation.scenario import Scenario
from cch.simulation.simulator import Simulated, differences, simulate

#: Mutants of one definition that are tried at the most.
_MOST_MUTANTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One scenario that was run: what differs from what was expected, and how long it took (s)."""

    scenario: Scenario
    definition: Definition
    result: Simulated
    problems: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class _Suite:
    """What was run, and what could not be: file → why."""

    tests: list[Tested] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    #: Definitions that no scenario is about.
    without: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(bool(test.problems) for test in self.tests) + len(self.broken)


def _files(path: Path) -> list[Path]:
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


def _run(scenario: Scenario, definition: Definition, settings: Settings) -> Tested:
    begun = time.perf_counter()
    result = simulate(definition, scenario, settings)
    problems = [*unfinished(scenario, result), *differences(result, scenario.expect)]
    asked = definition.asked
    problems.extend(
        f"no node of {definition.workflow_id} asks {capability!r}, which the scenario answers for"
        for capability in scenario.answers
        if capability not in asked
    )
    if not scenario.expect:
        problems.append("it expects nothing: say under expect how the instance ends, and what it has asked for")
    return Tested(
        scenario=scenario,
        definition=definition,
        result=result,
        problems=tuple(problems),
        seconds=time.perf_counter() - begun,
    )


def _suite(path: Path, definitions: Path) -> _Suite:
    """Run everything; a file that cannot be read does not keep the others from running."""
    suite, known = _Suite(), dict[str, Definition]()
    settings = load_settings()
    files = _files(path)
    for file in files:
        try:
            scenario = load_scenario(file)
            suite.tests.append(_run(scenario, _definition_of(scenario, definitions, known), settings))
        except (DefinitionError, WrongUseError) as error:
            suite.broken[str(file)] = str(error)
    about = {test.definition.workflow_id for test in suite.tests} | {Path(name).stem for name in known}
    if path.is_dir() and definitions.is_dir():
        there = (file.stem for file in definitions.glob("*.yaml") if not file.name.startswith("."))
        suite.without = sorted(name for name in there if name not in about and name not in suite.broken)
    return suite


@dataclass(frozen=True, slots=True, kw_only=True)
class _Covered:
    workflow: str
    nodes: tuple[int, int]
    ways: tuple[int, int]
    never_taken: str

    @property
    def row(self) -> tuple[str, str, str, str]:
        return self.workflow, "{}/{}".format(*self.nodes), "{}/{}".format(*self.ways), self.never_taken


def _coverage(tests: Sequence[Tested]) -> list[_Covered]:
    by_id: dict[str, list[Tested]] = {}
    for test in tests:
        by_id.setdefault(test.definition.workflow_id, []).append(test)
    return [_covered(workflow, ran) for workflow, ran in sorted(by_id.items())]


def _covered(workflow: str, ran: Sequence[Tested]) -> _Covered:
    graph = build_graph(ran[0].definition)
    ways = {(edge.source, edge.label) for edge in graph.edges if not edge.implied and edge.label != "item"}
    taken = {(o, label) for test in ran for o, label in test.result.edges}
    taken |= {(s, e.label) for s, label in taken if label == "branches" for e in graph.outgoing(s)}
    visited = {name.split("[")[0] for test in ran for name in test.result.visited}
    nodes = set(graph.nodes)
    missing = sorted(nodes - visited) + sorted(f"{s} {label}" for s, label in ways - taken if s in visited)
    return _Covered(
        workflow=workflow,
        nodes=(len(nodes & visited), len(nodes)),
        ways=(len(ways & taken), len(ways)),
        never_taken=", ".join(missing),
    )


def _share(coverage: Sequence[_Covered]) -> float:
    """Nodes and ways that were taken, in percent of all."""
    done = sum(each.nodes[0] + each.ways[0] for each in coverage)
    return 100 * done / max(1, sum(each.nodes[1] + each.ways[1] for each in coverage))


def _unnoticed(tests: Sequence[Tested]) -> Iterator[tuple[Definition, Mutant]]:
    """Changes of the definitions that no scenario notices."""
    by_text: dict[str, list[Tested]] = {}
    for test in tests:
        by_text.setdefault(test.definition.digest, []).append(test)
    settings = load_settings()
    for ran in by_text.values():
        definition = ran[0].definition
        for number, mutant in enumerate(mutants(definition)):
            if number >= _MOST_MUTANTS:
                note(f"{definition.workflow_id}: {_MOST_MUTANTS} changes were tried, there are more")
                break
            results = ((test.scenario, simulate(mutant.definition, test.scenario, settings)) for test in ran)
            if not any(unfinished(each, result) or differences(result, each.expect) for each, result in results):
                yield definition, mutant


def _junit(suite: _Suite, file: Path) -> None:
    number = len(suite.tests) + len(suite.broken)
    root = ET.Element("testsuite", name="cch scenarios", tests=str(number), failures=str(suite.failed))
    for test in suite.tests:
        case = ET.SubElement(
            root,
            "testcase",
            classname=test.definition.workflow_id,
            name=test.scenario.name,
            time=f"{test.seconds:.3f}",
        )
        if test.problems:
            ET.SubElement(case, "failure", message=test.problems[0]).text = "\n".join(test.problems)
    for name, why in suite.broken.items():
        case = ET.SubElement(root, "testcase", classname="unreadable", name=name, time="0")
        ET.SubElement(case, "failure", message=why.splitlines()[0]).text = why
    file.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def run_all(
    path: Path,
    *,
    definitions: Path,
    junit: Path | None,
    as_json: bool,
    fail_under: float = 0.0,
    mutate: bool = False,
) -> None:
    """Run every scenario below ``path``; leave with 1 if one is not as expected, or too little is covered (percent)."""
    suite = _suite(path, definitions)
    if junit:
        _junit(suite, junit)
    coverage = _coverage(suite.tests)
    share = _share(coverage)
    changed = list(_unnoticed(suite.tests)) if mutate else []
    if as_json:
        print_json(_data(suite, coverage, share, changed if mutate else None))
    else:
        _show(suite, coverage, changed)
        if mutate:
            say(f"changes that no scenario notices: {len(changed)}")
        if share < fail_under:
            complain(f"the scenarios take {share:.1f} % of nodes and ways, less than {fail_under:g} %")
    if suite.failed or share < fail_under:
        raise typer.Exit(1)


def _show(suite: _Suite, coverage: Sequence[_Covered], changed: Sequence[tuple[Definition, Mutant]]) -> None:
    rows = [
        (t.definition.workflow_id, t.scenario.name, duration(t.result.elapsed_seconds), _verdict(t))
        for t in suite.tests
    ]
    show(table("scenarios", ("workflow", "scenario", "virtual time", "result"), rows))
    for test in suite.tests:
        for problem in test.problems:
            complain(f"{test.scenario.file}: {problem}")
        for line in agreement_notes(test.result):
            note(f"{test.scenario.file}: {line}")
    for why in suite.broken.values():
        complain(why)
    show(table("coverage", ("workflow", "nodes", "ways", "never taken"), [each.row for each in coverage]))
    if suite.without:
        note(f"definitions without scenarios: {', '.join(suite.without)}")
    if changed:
        lines = [(d.workflow_id, str(mutant.line), mutant.node, mutant.what) for d, mutant in changed]
        show(table("changes that no scenario notices", ("workflow", "line", "node", "change"), lines))


def _verdict(test: Tested) -> Text:
    return Text("failed", "red") if test.problems else Text("passed", "green")


def _data(
    suite: _Suite, coverage: Sequence[_Covered], share: float, changed: Sequence[tuple[Definition, Mutant]] | None
) -> Mapping[str, object]:
    found: dict[str, object] = {
        "scenarios": [_test_data(test) for test in suite.tests],
        "unreadable": suite.broken,
        "coverage": [
            dict(zip(("workflow_id", "nodes", "ways", "never_taken"), each.row, strict=True)) for each in coverage
        ],
        "covered_percent": round(share, 1),
        "without_scenarios": suite.without,
    }
    if changed is not None:
        found["unnoticed"] = [
            {"workflow_id": d.workflow_id, "node": each.node, "line": each.line, "change": each.what}
            for d, each in changed
        ]
    return found


def _test_data(test: Tested) -> Mapping[str, object]:
    return {
        "workflow_id": test.definition.workflow_id,
        "name": test.scenario.name,
        "file": test.scenario.file,
        "ok": not test.problems,
        "differences": list(test.problems),
        **test.result.as_json(),
    }
