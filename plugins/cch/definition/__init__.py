"""Definitions: where they come from, how they are read, what they mean. Imports neither Airflow nor boto3.

Other packages use the public names of these modules: :mod:`~cch.definition.model` (the records),
:mod:`~cch.definition.reader` (text to record), :mod:`~cch.definition.catalogue` (what is published, cached) on
:mod:`~cch.definition.source`, and for messages with places :mod:`~cch.definition.document` and
:mod:`~cch.definition.schema`.
"""

__all__ = [
    "addresses",
    "catalogue",
    "contract",
    "contract_pins",
    "contract_reader",
    "contract_shelf",
    "dates",
    "document",
    "entries",
    "files",
    "json_schemas",
    "jsonpath",
    "kinds",
    "merging",
    "model",
    "names",
    "naming",
    "nodes",
    "paths",
    "reader",
    "rules",
    "scalars",
    "schema",
    "source",
    "starting",
    "uses",
    "version",
]
