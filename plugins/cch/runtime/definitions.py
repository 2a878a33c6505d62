"""Where the definitions of an environment come from. Loads neither the ledger nor, for a folder, botocore."""

from __future__ import annotations

from pathlib import Path

from cch.definition.catalogue import Catalogue
from cch.definition.source import DefinitionSource, FolderSource
from cch.graph.checks import check
from cch.settings import Settings


def definition_source(settings: Settings) -> DefinitionSource:
    """Where this environment's definitions are."""
    if settings.definitions_folder:
        return FolderSource(Path(settings.definitions_folder))
    from cch.aws.objects import S3Definitions  # noqa: PLC0415 - botocore is slow to load, and a folder needs none

    return S3Definitions(settings)


def open_catalogue(settings: Settings) -> Catalogue:
    """The definitions of this environment, cached on disk."""
    return Catalogue(
        definition_source(settings), settings.cache_path, check, settings.refresh_seconds,
        buckets=settings.definition_buckets,
    )  # fmt: skip
