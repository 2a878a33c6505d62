"""Which definition a start means: by an id, a file's name, an alias, or the URI of a file."""

from __future__ import annotations

from dataclasses import dataclass

from cch.definition.addresses import DefinitionAddress, is_key
from cch.definition.catalogue import Catalogue
from cch.definition.entries import ENDINGS, Entry, is_called, stem_of
from cch.definition.model import Definition
from cch.errors import DefinitionError, DefinitionNotFoundError, Problem


class AmbiguousNameError(DefinitionError):
    """What was named may be one of several files; the problem lists them."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__((Problem(code="CCH-G007", message=message, hint=hint),))


@dataclass(frozen=True, slots=True)
class Named:
    """``track``: the file's key in the source, if a file was named that is not what a start by the id gets."""

    definition: Definition
    track: str = ""


def named(catalogue: Catalogue, text: str) -> Named:
    """The definition that a message names: by its id, its file's name, an alias, or its file's URI.

    A URI with prefixes names the file under its whole key, else the one with its last part as name. An id wins over a
    file's name, that over an alias, and that over a file under a prefix that is not given.

    :raises DefinitionNotFoundError: there is none, or it is in another bucket than ours; says what to do.
    :raises DefinitionError: the only version there is cannot be used, or several files may be meant.
    :raises ServiceUnavailableError: the source does not answer and the cache has nothing.
    """
    address = DefinitionAddress.of(text)
    own = catalogue.place
    ours = address.place in ("", own.removeprefix("s3://"), *catalogue.buckets)
    if not ours and own.startswith("s3://"):
        raise DefinitionNotFoundError(
            f"{text[:200]} is not in {own}, where the definitions of this environment are: publish it here, or let"
            f" CCH_DEFINITION_BUCKETS name {address.place} if its file names mean the same here"
        )
    if address.is_version:
        raise DefinitionNotFoundError(f"{text[:200]} is a version that was published once: name its workflow")
    is_whole_key = own.startswith("s3://") and bool(address.place) and "/" in address.key  # folders have no prefixes
    if ours and is_whole_key and (found := _in_file(catalogue, address.key)):
        return found
    try:
        return Named(by_id(catalogue, address.stem))
    except DefinitionNotFoundError as error:
        # A folder takes ids from whatever bucket, but no names of files.
        elsewhere = _by_name(catalogue, address, text) if ours else None
        if elsewhere is None:
            raise error from None
        return elsewhere


def by_id(catalogue: Catalogue, workflow_id: str) -> Definition:
    """What a start by the id gets: the track that is called so, else the only one.

    :raises AmbiguousNameError: several files have the id, and none is called so.
    :raises CchError: what :meth:`Catalogue.current` raises.
    """
    served = catalogue.current(workflow_id)
    if is_called(served.file, workflow_id):
        return served
    tracks = catalogue.tracks(workflow_id)
    for file in tracks:
        if is_called(file, workflow_id) and (found := catalogue.file(file)) and found.definition:
            return found.definition
    if len(tracks) > 1:
        raise AmbiguousNameError(
            f"{workflow_id!r} is the workflow_id of several files, and none is called {workflow_id}.yaml:"
            f" {', '.join(tracks[:20])}",
            "start one of them by its file's name",
        )
    return served


def track(catalogue: Catalogue, workflow_id: str, name: str) -> Definition | None:
    """The newest version of the track that is called ``name``, with or without its prefixes and ending; None: none is.

    :raises AmbiguousNameError: several are called so.
    """
    files = [file for file in catalogue.tracks(workflow_id) if name in _names(file)]
    if len(files) > 1 and name not in files:
        raise _several(name, files)
    entry = catalogue.file(name if name in files else files[0]) if files else None
    return entry.definition if entry else None


def _names(file: str) -> tuple[str, ...]:
    return file, file.rsplit(".", 1)[0], file.rsplit("/", 1)[-1], stem_of(file)


def _by_name(catalogue: Catalogue, address: DefinitionAddress, text: str) -> Named | None:
    """A file of the source's top, else what an alias leads to, else a file under some prefix."""
    place, _, file = (address.file if address.place else text).rpartition("/")
    if place in ("", catalogue.place) and (found := _in_file(catalogue, file)):
        return found
    if workflow_id := catalogue.alias(address.stem):
        return Named(by_id(catalogue, workflow_id))
    keys = [key for key in catalogue.files() if "/" in key and stem_of(key) == address.stem]
    if len(keys) > 1:
        raise _several(text, keys)
    return _in_file(catalogue, keys[0]) if keys else None


def _in_file(catalogue: Catalogue, key: str) -> Named | None:
    """The definition of one file, if there is one and it is good."""
    for name in (key,) if key.endswith(ENDINGS) else (f"{key}{ending}" for ending in ENDINGS):
        entry = catalogue.file(name) if is_key(name) else None
        if entry is not None and entry.definition is not None:
            return _of_entry(catalogue, entry, entry.definition)
    return None


def _of_entry(catalogue: Catalogue, entry: Entry, definition: Definition) -> Named:
    try:
        usual = by_id(catalogue, definition.workflow_id)
    except AmbiguousNameError:
        return Named(definition, entry.file)
    except DefinitionNotFoundError:
        return Named(definition)  # it has come after the listing
    return Named(definition, "" if usual.file == entry.file else entry.file)


def _several(name: str, files: list[str]) -> AmbiguousNameError:
    return AmbiguousNameError(
        f"{name[:200]!r} may be one of several files: {', '.join(files[:20])}", "name one by its whole key"
    )
