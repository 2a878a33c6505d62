"""``cch simulate``: one scenario in virtual time."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from cch.cli.drawing import load_file
from cch.cli.output import complain, note, print_json, say, show, table
from cch.cli.reading import read_files
from cch.definition.model import Definition
from cch.errors import DefinitionError, WrongUseError
from cch.settings import load_settings
from cch.simulation.scenario import Scenario, read_scenario
from cch.simulation.simulator import Simulated, differences, simulate


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
    problems = [*unfinished(scenario, result), *differences(result, scenario.expect)]
    if as_json:
        print_json({**result.as_json(), **({"differences": problems} if scenario.expect else {})})
    else:
        _show(definition, scenario, result)
        for problem in problems:
            complain(problem)
    if problems:
        raise typer.Exit(1)


def unfinished(scenario: Scenario, result: Simulated) -> list[str]:
    """That the simulation could not tell how it ends, unless that is what the scenario is about."""
    if result.status not in ("stopped", "rejected") or scenario.expect.get("status") == result.status:
        return []
    return [result.errors[-1]["message"]]


def agreement_notes(result: Simulated) -> list[str]:
    """What contracts and forms had to do with the result."""
    answered = [f"{each} answers as its contract says" for each in result.by_contract]
    return [*answered, *(f"contract broken at {each}" for each in result.breaches), *result.misfits]


def _show(definition: Definition, scenario: Scenario, result: Simulated) -> None:
    say(f"{definition.workflow_id}: {scenario.name}")
    say(f"{result.status} after {duration(result.elapsed_seconds)}")
    show(table("visited", ("#", "node"), [(str(n), node) for n, node in enumerate(result.visited, 1)]))
    if result.requests:
        show(table("requests", ("capability", "number"), [(k, str(v)) for k, v in sorted(result.requests.items())]))
    for line in agreement_notes(result):
        note(line)
    for node in result.waiting_for:
        say(f"waits at {node}")
    for error in result.errors:
        say(f"error {error['code']} at {error['node'] or '-'}: {error['message']}")
    say(json.dumps(result.as_json()["context"], indent=2, ensure_ascii=False))


def duration(seconds: float) -> str:
    """A length of time as people read it."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{value:g}{unit}" for value, unit in parts if value) or "0s"
