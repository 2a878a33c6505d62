"""docker-compose.yaml and Dockerfile without building anything; `make compose-test` runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from airflow.configuration import conf
from compose_spec import PyCompose

from tests.compose.file import Service, env_file, filled, interpolated, services

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"


def local() -> dict[str, Service]:
    return {service.name: service for service in services(FILE, env_file(ROOT / ".env"))}


def test_it_is_what_the_compose_specification_allows() -> None:
    """A parser of the specification takes it, and refuses a key that there is not."""
    whole = filled(FILE, env_file(ROOT / ".env"))

    PyCompose.from_json(json.dumps(whole)).validate()
    whole["services"]["worker"]["comand"] = "misspelt"
    with pytest.raises(ValueError, match="comand"):
        PyCompose.from_json(json.dumps(whole))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("${B:-x}", "x"),
        ("${B-x}", ""),
        ("${C-x}/${C:-y z}", "x/y z"),
        ("$${A}", "${A}"),
        ("$$(a)", "$(a)"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, expected: str) -> None:
    """The test reads the same file as the user's Docker, so it has to read it the same way."""
    assert interpolated(text, {"A": "1", "B": ""}) == expected


def test_two_triggerers_and_two_workers() -> None:
    """Whichever dies, another one goes on."""
    found = local()

    assert (found["triggerer"].replicas, found["worker"].replicas) == (2, 2)


def test_real_aws_needs_no_stand_in() -> None:
    """The other profile runs neither moto nor the mock, and nobody's address leads there."""
    found = {service.name: service for service in services(FILE, env_file(ROOT / "deploy" / "compose" / "aws.env"))}

    assert set(local()) - set(found) == {"aws", "mock", "samples"}
    assert all(not service.environment.get("AWS_ENDPOINT_URL") for service in found.values())


def test_only_this_machine_reaches_it() -> None:
    """The secrets have defaults, so nothing may listen to the network."""
    for name, service in yaml.safe_load(FILE.read_text())["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_whoever_runs_has_a_health_check() -> None:
    """All but the jobs."""
    assert {service.name for service in local().values() if not service.check} == {"init", "samples"}


def test_every_option_of_airflow_exists() -> None:
    """A misspelt one would do nothing, silently; those of MWAA are set here too."""
    described = conf.configuration_description
    names = {name for service in local().values() for name in service.environment if name.startswith("AIRFLOW__")}
    options = {tuple(name.lower().split("__")[1:]) for name in names}
    mwaa = json.loads((ROOT / "deploy" / "mwaa" / "configuration.json").read_text())

    unknown = {(section, key) for section, key in options if key not in described.get(section, {}).get("options", {})}
    # Those of the Celery provider, which is not installed here.
    assert {section for section, _ in unknown} <= {"celery"}
    assert {tuple(name.split(".")) for name in mwaa if not name.startswith("cch.")} <= options


def test_the_docker_file_copies_only_what_is_sent_to_the_builder() -> None:
    """.dockerignore leaves out everything that is not named in it."""
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!.*--from=)(?:--\S+ )*(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    for source in (word for copy in copies for word in copy.split()[:-1]):
        assert any(source == each or source.startswith(f"{each}/") for each in sent), source
        assert (ROOT / source).exists()
