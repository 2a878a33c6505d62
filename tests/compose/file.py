"""docker-compose.yaml as Docker reads it: variables, defaults, profiles, replicas, and the order in which to start."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<how>:?-)(?P<default>[^}]*))?\})")


def env_file(path: Path) -> dict[str, str]:
    """Lines of the form ``NAME=value``."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """``${NAME}``, ``${NAME-default}``, ``${NAME:-default}`` and ``$$``."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        found = variables.get(match["name"])
        if found is None or (not found and match["how"] == ":-"):
            return match["default"] or ""
        return found

    return _VARIABLE.sub(value, text)


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    match node:
        case str():
            return interpolated(node, variables)
        case dict():
            return {key: _filled(value, variables) for key, value in node.items()}
        case list():
            return [_filled(value, variables) for value in node]
    return node


def _words(command: str | list[str] | None) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service that is to run."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    #: Service → condition, for those that run too.
    after: dict[str, str]
    replicas: int
    #: What says that it is well; none: whoever runs is well.
    check: list[str]

    def containers(self) -> list[str]:
        """Names of its containers; also their hostnames."""
        return [f"{self.name}-{number}" if self.replicas > 1 else self.name for number in range(1, self.replicas + 1)]


def _check(raw: Mapping[str, Any]) -> list[str]:
    kind, *rest = raw.get("healthcheck", {}).get("test", ["NONE"])
    return {"NONE": [], "CMD": rest, "CMD-SHELL": ["sh", "-c", *rest]}[kind]


def filled(path: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The whole file, with the variables in it."""
    found: dict[str, Any] = _filled(yaml.safe_load(path.read_text()), variables)
    return found


def services(path: Path, variables: Mapping[str, str]) -> list[Service]:
    """Those of the active profiles, each after those that it depends on."""
    raw: dict[str, Any] = filled(path, variables)["services"]
    profiles = set(variables.get("COMPOSE_PROFILES", "").split(","))
    active = {
        name: service for name, service in raw.items() if not (given := service.get("profiles")) or profiles & {*given}
    }
    return [_service(name, active) for name in _ordered(active)]


def _ordered(active: Mapping[str, Any]) -> Iterator[str]:
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done or name not in active:
            return
        done.add(name)
        for before in active[name].get("depends_on", {}):
            yield from visit(before)
        yield name

    for name in active:
        yield from visit(name)


def _service(name: str, active: Mapping[str, Any]) -> Service:
    raw = active[name]
    after = {}
    for other, how in raw.get("depends_on", {}).items():
        assert other in active or how.get("required") is False, f"{name} depends on {other}, which does not run"
        if other in active:
            after[other] = how["condition"]
    return Service(
        name=name,
        image=raw["image"],
        command=_words(raw.get("command")),
        environment={key: str(value) for key, value in (raw.get("environment") or {}).items()},
        after=after,
        replicas=raw.get("deploy", {}).get("replicas", 1),
        check=_check(raw),
    )
