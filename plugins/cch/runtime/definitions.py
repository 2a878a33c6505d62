"""Where the definitions of an environment come from. Loads neither the ledger nor, for a folder, botocore."""

from __future__ import annotations

import functools
from pathlib import Path

from cch.definition.catalogue import Catalogue
from cch.definition.source import DefinitionSource, FolderSource, NotModified, SourceObject
from cch.graph.checks import check
from cch.settings import Settings


def definition_source(settings: Settings) -> DefinitionSource:
    """Where this environment's definitions are."""
    if settings.definitions_folder:
        return FolderSource(Path(settings.definitions_folder))
    from cch.aws.objects import S3Definitions  # noqa: PLC0415 - botocore is slow to load, and a folder needs none

    return S3Definitions(settings)


def open_catalogue(settings: Settings, *, trusts_courier: bool = False) -> Catalogue:
    """The definitions of this environment, cached on disk. ``trusts_courier``: see :class:`Catalogue`."""
    return Catalogue(
        _Unopened(settings), settings.cache_path, check, settings.refresh_seconds,
        buckets=settings.definition_buckets, trusts_courier=trusts_courier,
    )  # fmt: skip


class _Unopened:
    """The source of this environment, opened when it is asked: botocore is slow to load, and the cache may do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @functools.cached_property
    def _source(self) -> DefinitionSource:
        return definition_source(self._settings)

    def stamps(self) -> dict[str, str]:
        return self._source.stamps()

    def read(self, name: str, known_stamp: str = "") -> SourceObject | NotModified:
        return self._source.read(name, known_stamp)

    def write(self, name: str, text: str) -> None:
        self._source.write(name, text)

    def names(self, prefix: str) -> tuple[str, ...]:
        return self._source.names(prefix)

    def describe(self) -> str:
        if self._settings.definitions_folder:
            return self._source.describe()
        return f"s3://{self._settings.names.definitions_bucket}"  # without opening it
