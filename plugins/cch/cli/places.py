"""Where a definition is published, and under which names messages may start it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cch.cli.output import note
from cch.definition.addresses import alias_key, is_key, plain_name
from cch.definition.catalogue import is_name
from cch.definition.entries import is_called
from cch.definition.names import is_reserved
from cch.definition.reader import digest_of
from cch.definition.source import DefinitionSource, NotModified
from cch.errors import DefinitionNotFoundError, ServiceUnavailableError, WrongUseError
from cch.runtime.definitions import definition_source, open_catalogue

if TYPE_CHECKING:
    from cch.definition.catalogue import Catalogue
    from cch.definition.model import Definition
    from cch.settings import Settings


def published_text(source: DefinitionSource, workflow_id: str) -> str | None:
    """The text that is published now, past every cache; None if there is none."""
    return file_text(source, f"{workflow_id}.yaml")


def file_text(source: DefinitionSource, name: str) -> str | None:
    """The text of one file that is published, past every cache; None if there is none."""
    try:
        answer = source.read(name)
    except DefinitionNotFoundError:
        return None
    assert not isinstance(answer, NotModified)
    return answer.text


def served_catalogue(settings: Settings) -> Catalogue:
    """What is published now: no listing of a moment ago is trusted."""
    return open_catalogue(replace(settings, refresh_seconds=0.0))


def place_of(settings: Settings, workflow_id: str) -> tuple[str, str | None]:
    """(file name under which the workflow is published, or would be; the text that is there, None if there is none).

    Somebody may have put it there by other means under another name: a second file with its id would not be served.
    """
    source = definition_source(settings)
    name = f"{workflow_id}.yaml"
    if (text := published_text(source, workflow_id)) is not None:
        return name, text
    try:
        entries = served_catalogue(settings).snapshot().entries
    except ServiceUnavailableError:
        entries = ()  # an empty folder that is not there yet
    for entry in entries:
        if entry.good is not None and entry.workflow_id == workflow_id:
            answer = source.read(entry.file)
            assert not isinstance(answer, NotModified)
            return entry.file, answer.text
    return name, None


def track_of(settings: Settings, file: str, definition: Definition, *, wanted: bool) -> str:
    """The name of the track that the file is, or with ``wanted`` becomes; "" if it is none.

    :raises WrongUseError: it cannot be called so.
    """
    name, workflow_id = Path(file).name, definition.workflow_id
    there = served_catalogue(settings).file(name) if is_key(name) else None
    is_there = there is not None and there.good is not None and there.workflow_id == workflow_id
    if not wanted or is_there or is_called(name, workflow_id):
        return name if is_there and name != place_of(settings, workflow_id)[0] else ""
    if fault := _alias_fault(settings, plain_name(name), workflow_id):
        raise WrongUseError(f"{file} cannot be a track of {workflow_id}: {fault}")
    return name


def published_place(settings: Settings, workflow_id: str) -> tuple[str, str | None, str]:
    """Where a workflow is published: the file's name, its text (None: nowhere yet), and the text's digest."""
    name, text = place_of(settings, workflow_id)
    return name, text, digest_of(text) if text is not None else ""


def alias_of(settings: Settings, file: str, definition: Definition, wanted: str) -> str:
    """The alias that the definition gets: the wanted one, else its file's name; "" if that is its id, or taken.

    :raises WrongUseError: the wanted one cannot be had; says why.
    """
    alias, workflow_id = plain_name(wanted or Path(file).name), definition.workflow_id
    if fault := "" if alias == workflow_id else _alias_fault(settings, alias, workflow_id):
        if wanted:
            raise WrongUseError(f"{workflow_id} cannot be published as {alias!r}: {fault}")
        note(f"{file}: messages cannot name it {alias!r}, because {fault}; --as gives it another name")
        return ""
    return "" if alias == workflow_id else alias


def _alias_fault(settings: Settings, alias: str, workflow_id: str) -> str:
    if not is_name(alias):
        return "a name has at most 60 characters and no /"
    if is_reserved(alias):
        return "it is reserved for the platform"
    if place_of(settings, alias)[1] is not None:
        return "it is the id of another workflow"
    other = served_catalogue(settings).alias(alias)
    return f"it is a name of {other}" if other not in ("", workflow_id) else ""


def refuse_alias_as_id(settings: Settings, workflow_id: str) -> None:
    """:raises WrongUseError: the id is an alias of another workflow, whose starts it would take."""
    other = served_catalogue(settings).alias(workflow_id)
    if other not in ("", workflow_id):
        raise WrongUseError(
            f"{workflow_id} is a name of {other}, whose starts it would take: choose another workflow_id, or remove"
            f" {alias_key(workflow_id)} where the definitions are"
        )
