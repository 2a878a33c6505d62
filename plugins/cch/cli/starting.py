"""``cch run``: a context from the command line, checked, and sent as START_WORKFLOW."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cch.cli.drawing import load_file
from cch.cli.instance_views import result_data, show_end
from cch.cli.output import complain, note, print_json, say, show_problems
from cch.cli.places import file_text
from cch.cli.reading import is_definition_path
from cch.cli.scripted import Staging, seen_outside
from cch.cli.watched import Started, Watched
from cch.cli.watching import Limits, admission, display_for, watch
from cch.definition.addresses import is_key
from cch.definition.contract_pins import without_pins
from cch.definition.naming import by_id
from cch.definition.paths import PathError, path_fault
from cch.definition.rules import NEWEST
from cch.envelope import parse_command, split_version, start_command
from cch.errors import (
    DefinitionError,
    DefinitionNotFoundError,
    MalformedMessageError,
    ServiceUnavailableError,
    WrongUseError,
)
from cch.graph.checks import load
from cch.interpreter.context import merge, read_path
from cch.runtime.admission import context_problems, start_context
from cch.runtime.choosing import Chooser
from cch.runtime.definitions import definition_source
from cch.runtime.inspection import Inspector
from cch.runtime.platform import open_platform
from cch.simulation.simulator import Simulated, differences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cch.definition.model import Definition
    from cch.runtime.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants to start; empty ids are made up."""

    workflow: str
    context: Mapping[str, Any]
    correlation_id: str = ""
    instance_id: str = ""
    #: How the version is named; "" leaves the choice.
    version: str = ""


def read_context(text: str, values: Sequence[str], texts: Sequence[str] = ()) -> dict[str, Any]:
    """The context from ``--context`` with every ``--set`` and then every ``--set-string`` laid over it, in their order.

    :raises WrongUseError: not a JSON object, no such file, or a value without a key.
    """
    context = _object(text)
    given = [*(("--set", value) for value in values), *(("--set-string", value) for value in texts)]
    for option, value in given:
        key, equals, raw = value.partition("=")
        if not equals or path_fault(key):
            raise WrongUseError(f"{option} {value!r}: write key=value, or outer.inner=value")
        try:
            context = merge(context, read_path(key, NEWEST).patch(context, raw if option != "--set" else _value(raw)))
        except PathError as error:
            raise WrongUseError(f"{option} {value!r}: {error}") from None
    return context


def _object(text: str) -> dict[str, Any]:
    if not text:
        return {}
    origin = "--context"
    if text.startswith("@"):
        origin = "stdin" if text == "@-" else text[1:]
        try:
            text = sys.stdin.read() if text == "@-" else Path(origin).read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise WrongUseError(f"--context: {origin} cannot be read: {error}") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongUseError(f"{origin} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise WrongUseError(f'{origin} must be a JSON object, like {{"shipmentId": "S-1"}}')
    return value


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _value(raw: str) -> Any:
    """JSON where it is JSON; ``NaN`` and everything else is text."""
    try:
        return json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return raw


def _published(platform: Platform, name: str) -> tuple[str, Definition | None]:
    """The workflow, and the definition that a start would run (None: see :func:`_usable`).

    :raises WrongUseError: a file was named whose content is not what is published.
    """
    source = definition_source(platform.settings)
    local = load_file(Path(name)) if is_definition_path(name) or Path(name).is_file() else None
    workflow_id = local.workflow_id if local else name
    text = file_text(source, _track(platform, name, workflow_id) or f"{workflow_id}.yaml")
    if local is not None:
        if text is None:
            raise WrongUseError(f"{workflow_id} is not published: run `cch publish {name}` first")
        if without_pins(text) != without_pins(local.text):
            raise WrongUseError(f"{name} differs from what is published: run `cch publish {name}` first")
        return workflow_id, load(text, name)
    if text is None:
        try:  # published by other means, under another file name
            return workflow_id, by_id(platform.catalogue, workflow_id)
        except DefinitionNotFoundError as error:
            raise WrongUseError(f"{error}: run `cch publish` first, or check the id") from None
    return workflow_id, _usable(platform, workflow_id, text)


def _track(platform: Platform, name: str, workflow_id: str) -> str:
    """The file of the workflow that is published under the name of the file ``name``; "" if none is."""
    file = Path(name).name
    entry = platform.catalogue.file(file) if Path(name).is_file() and is_key(file) else None
    return file if entry is not None and entry.good and entry.workflow_id == workflow_id else ""


def _usable(platform: Platform, workflow_id: str, text: str) -> Definition | None:
    """What is published, or the last good version, as every other way to start uses it.

    None if what is published is broken and only Airflow may know a version that was good.
    """
    file = f"{workflow_id}.yaml"
    try:
        return load(text, file)
    except DefinitionError as error:
        note(f"what is published as {workflow_id} cannot be used:")
        show_problems(error.problems, {file: text})
    last_good = _last_good(platform, workflow_id)
    if last_good is None:
        note("no earlier version is known here: the start is sent unchecked, for one that Airflow may still serve")
        return None
    note("its last good version is started, which is what Airflow serves")
    return last_good


def _last_good(platform: Platform, workflow_id: str) -> Definition | None:
    try:
        return platform.catalogue.current(workflow_id)
    except DefinitionError:
        return None


def _start_message(
    platform: Platform, wish: Wish, workflow_id: str, definition: Definition | None, uri: str
) -> tuple[Started, str]:
    """What is started, and the message that starts it.

    :raises WrongUseError: the context lacks something, or the message would not be accepted.
    """
    problems = context_problems(definition, start_context(definition, wish.context)) if definition else []
    if problems:
        hint = "add them with --set key=value or --context"
        raise WrongUseError(f"cannot start {workflow_id}: {'; '.join(problems)} ({hint})")
    instance_id = wish.instance_id or str(uuid.uuid4())
    started = Started(
        instance_id=instance_id,
        workflow_id=workflow_id,
        command_id=str(uuid.uuid4()),
        at=platform.clock(),
    )
    body = start_command(
        instance=instance_id,
        command_id=started.command_id,
        definition_uri=uri,
        context=wish.context,
        correlation_id=wish.correlation_id or instance_id,
        now=started.at,
        version=wish.version,
    )
    try:
        parse_command(body)
    except MalformedMessageError as error:
        raise WrongUseError(f"cannot start {workflow_id}: {error.reason}") from None
    return started, body


def _split(name: str) -> tuple[str, str]:
    """A workflow and the version that is named with it; a file names none."""
    return (name, "") if Path(name).is_file() else split_version(name)


async def _send(platform: Platform, wish: Wish) -> tuple[Started, bool]:
    """What was started, and whether it was checked before."""
    workflow_id, version = _split(wish.workflow)
    if version:
        chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
        shelf = await platform.ledger.versions.shelf(workflow_id)
        definition: Definition | None = await chooser.named(shelf, version)
        wish = replace(wish, version=version)
    else:
        workflow_id, definition = await asyncio.to_thread(_published, platform, wish.workflow)
    track = "" if version else await asyncio.to_thread(_track, platform, wish.workflow, workflow_id)
    uri = f"{platform.catalogue.place}/{track}" if track else platform.catalogue.uri(workflow_id)
    started, body = _start_message(platform, wish, workflow_id, definition, uri)
    if wish.instance_id and (known := await platform.ledger.instances.find(wish.instance_id)):
        if known.workflow_id != workflow_id:
            raise WrongUseError(f"instance {known.id} exists already, of {known.workflow_id}: choose another id")
        note(f"instance {known.id} exists already and is {known.status}: a repeated start changes nothing")
    name = platform.settings.names.command_queue
    queue = await platform.queues.find(name)
    if queue is None:
        raise ServiceUnavailableError(
            f"there is no queue {name}: create the resources (`cch up`), or check CCH_ENV and CCH_OWNER"
        )
    await queue.send(body)
    return started, definition is not None


async def _run(wish: Wish, *, watching: bool, limits: Limits, as_json: bool, staging: Staging | None) -> Watched:
    async with open_platform() as platform:
        if staging is not None:
            wish = replace(wish, instance_id=wish.instance_id or str(uuid.uuid4()))
            await asyncio.to_thread(staging.prepare, platform, wish.instance_id)
        started, checked = await _send(platform, wish)
        if not as_json:
            say(f"instance {started.instance_id} of {started.workflow_id}")
        if not watching:
            return Watched(started=started, status="sent") if checked else await admission(platform, started)
        events = asyncio.create_task(staging.play_events(platform, started.instance_id)) if staging else None
        try:
            watched = await watch(platform, started, display_for(platform, quiet=as_json), limits)
        finally:
            if events is not None:
                events.cancel()
        if staging is None or watched.progress is None:
            return watched
        # What the scenario expects counts all items of a map, while watching looks at the first ones only.
        return replace(watched, progress=await Inspector(platform).look(started.instance_id, most_items=None))


def _unmet(watched: Watched, staging: Staging) -> list[str]:
    """What the scenario expects and the instance did not do."""
    if watched.progress is None:
        return [f"the instance is {watched.status}: {watched.reason}"]
    progress = watched.progress
    asked = Counter(request.source for request in progress.requests)
    seen = Simulated(
        status="waiting" if watched.status == "timeout" else watched.status,  # type: ignore[arg-type]
        visited=progress.visited,
        context=progress.context,
        requests=asked,
        messages={},
        elapsed_seconds=watched.seconds,
    )
    return differences(seen, seen_outside(dict(staging.scenario.expect)))


def run(wish: Wish, *, watching: bool, limits: Limits, as_json: bool, staging: Staging | None = None) -> None:
    """Start, watch if wanted, and leave with 1 unless the instance has done what was wanted (or nobody watched)."""
    watched = asyncio.run(_run(wish, watching=watching, limits=limits, as_json=as_json, staging=staging))
    unmet = _unmet(watched, staging) if staging and staging.scenario.expect else []
    if as_json:
        print_json({**result_data(watched), **({"differences": unmet} if staging else {})})
    elif watching or watched.reason:
        show_end(watched)
    for difference in unmet:
        complain(difference)
    as_wanted = not unmet if staging and staging.scenario.expect else watched.status in ("sent", "completed")
    if not as_wanted:
        raise typer.Exit(1)
