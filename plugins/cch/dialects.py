"""Dialects: what a definition and its messages mean where two implementations of the platform mean different things.

An instance keeps the name of the dialect with which it began, and everything that depends on it: the bodies of its
requests, which reply answers which request, and the ways that its conditions choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cch.errors import CchError, SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a dialect means. Stored by its name: a dialect that is to mean something else gets another name."""

    name: str
    #: A request of a map's item has the item's keys flat in its context, beside the item itself.
    flat_items: bool = False
    #: A reply that names no request answers the only one that it can mean.
    unnamed_replies: bool = False
    #: ``status: ERROR`` in the payload of a reply makes it an error, if the command has no status.
    errors_in_payload: bool = False
    #: An ERROR reply goes ``on_response``, unless ``error_reply`` says otherwise.
    errors_go_on: bool = False
    #: Labels of conditions also match Python's spelling of true, false and null.
    python_labels: bool = False
    #: Parameters of functions of the library that a definition does not give: function → parameter → value.
    defaults: Mapping[str, Mapping[str, str]]


#: What instances have that were stored without a dialect.
OWN = Dialect(name="cch", defaults={})
#: The first implementation of the platform: an orchestrator that is a Lambda function.
LAMBDA_ORCHESTRATOR = Dialect(
    name="lambda_orchestrator",
    flat_items=True,
    unnamed_replies=True,
    errors_in_payload=True,
    errors_go_on=True,
    python_labels=True,
    defaults={"s3#read_jsonpath": {"match": "first"}},
)
DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (OWN, LAMBDA_ORCHESTRATOR)}


class UnknownDialectError(CchError):
    """A later release made this instance; this process leaves it alone until it is updated."""

    code = "CCH-L005"


def recorded_dialect(name: str, instance: str = "") -> Dialect:
    """The dialect that an instance has recorded; "" for none.

    :raises UnknownDialectError: this release does not know it.
    """
    found = DIALECTS.get(name or OWN.name)
    if found is None:
        known = " and ".join(DIALECTS)
        raise UnknownDialectError(
            f"instance {instance} speaks the dialect {name!r}, and this release knows {known}: it is left alone until"
            " this process runs the release that made it, or a later one"
        )
    return found


def chosen_dialect(setting: str) -> Dialect:
    """The dialect of definitions that name none.

    :raises SettingsError: there is no such dialect.
    """
    if setting not in DIALECTS:
        raise SettingsError(f"CCH_DIALECT={setting!r}: use {' or '.join(DIALECTS)}")
    return DIALECTS[setting]
