"""The Params of a DAG: what Airflow's form asks for. They never decide whether a run may begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from cch.definition.json_schemas import faults
from cch.definition.model import Definition
from cch.graph.planners import version_of
from cch.runtime.run_conf import CONF_CORRELATION, CONF_DIGEST, CONF_VERSION

_ANYTHING = ["string", "integer", "number", "boolean", "object", "array"]
#: Makes the rest of a Param's schema a description: in this draft of JSON Schema, what stands beside a reference is
#: ignored. The form still shows types, texts and choices.
_FITS_ANYTHING: Mapping[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$ref": "#/definitions/anything",
    "definitions": {"anything": True},
}


def params(definition: Definition, *, pinned: bool) -> dict[str, Param]:
    """What the form asks for: the required keys of the newest version, the business key, and the version.

    Airflow checks every start with the Params of the newest version, also a start of another version, which may ask
    for other keys. So they accept everything, and the version that the run is to have decides (docs/adr/0022).

    ``pinned``: Airflow keeps every run on its version. Otherwise the digest is a constant that Airflow compares: it
    lets the dispatcher start a run of exactly the version that is published, and be refused while Airflow still
    serves another.
    """
    found: dict[str, Param] = {}
    for key, schema in definition.required.items():
        described: Mapping[str, Any] = schema if isinstance(schema, Mapping) and not faults(schema) else {}
        shown = {k: v for k, v in described.items() if k not in ("default", "type", *_FITS_ANYTHING)}
        default = described.get("default")
        found[key] = Param(default, type=described.get("type", _ANYTHING), **{**shown, **_FITS_ANYTHING})
    found[CONF_CORRELATION] = Param(
        None,
        type=["null", "string"],
        title="Correlation id",
        description="Business key by which people find this instance, for example a bill of lading.",
        **_FITS_ANYTHING,
    )
    if not pinned:
        found[CONF_DIGEST] = Param(definition.digest, type="string", const=definition.digest)
        return found
    found[CONF_VERSION] = Param(
        None,
        type=["null", "string"],
        title="Version",
        description="Empty for the newest; else a number, @label, or the first characters of a digest.",
        **_FITS_ANYTHING,
    )
    served = str(version_of(definition))
    found[CONF_DIGEST] = Param(served, type="string", const=served, **_FITS_ANYTHING)
    return found
