"""The Params of a DAG: what Airflow's form asks for. They never decide whether a run may begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Param

from cch.definition.json_schemas import faults
from cch.definition.model import Definition
from cch.definition.version import parse_version
from cch.runtime.run_conf import CONF_CORRELATION, CONF_DIGEST, CONF_VERSION

_ANYTHING = ["string", "integer", "number", "boolean", "object", "array"]
#: Makes the rest of a Param's schema a description: in this draft of JSON Schema, what stands beside a reference is
#: ignored. The form still shows types, texts and choices.
_FITS_ANYTHING: Mapping[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$ref": "#/definitions/anything",
    "definitions": {"anything": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key that a start must bring, as Airflow's form asks for it; ``schema``: of its Param, for people."""

    name: str
    default: Any
    schema: Mapping[str, Any]


def form_fields(definition: Definition) -> tuple[Field, ...]:
    """The required keys of the newest version, with what is known of them."""
    found = []
    for key, schema in definition.required.items():
        described: Mapping[str, Any] = schema if isinstance(schema, Mapping) and not faults(schema) else {}
        shown = {k: v for k, v in described.items() if k not in ("default", "type", *_FITS_ANYTHING)}
        kind = described.get("type", _ANYTHING)
        found.append(Field(name=key, default=described.get("default"), schema={"type": kind, **shown}))
    return tuple(found)


def params(fields: Sequence[Field], served: str, *, pinned: bool) -> dict[str, Param]:
    """What the form asks for: the fields, the business key, and the version.

    Airflow checks every start with the Params of the newest version, also a start of another version, which may ask
    for other keys. So they accept everything, and the version that the run is to have decides (docs/adr/0022).

    ``served``: the version of this DAG. ``pinned``: Airflow keeps every run on its version. Otherwise the digest is a
    constant that Airflow compares: it lets the dispatcher start a run of exactly the version that is published, and be
    refused while Airflow still serves another.
    """
    found = {field.name: Param(field.default, **{**field.schema, **_FITS_ANYTHING}) for field in fields}
    found[CONF_CORRELATION] = Param(
        None,
        type=["null", "string"],
        title="Correlation id",
        description="Business key by which people find this instance, for example a bill of lading.",
        **_FITS_ANYTHING,
    )
    if not pinned:
        digest = parse_version(served)
        assert digest is not None
        found[CONF_DIGEST] = Param(digest.digest, type="string", const=digest.digest)
        return found
    found[CONF_VERSION] = Param(
        None,
        type=["null", "string"],
        title="Version",
        description="Empty for the newest; else a number, @label, or the first characters of a digest.",
        **_FITS_ANYTHING,
    )
    found[CONF_DIGEST] = Param(served, type="string", const=served, **_FITS_ANYTHING)
    return found
