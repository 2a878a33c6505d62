"""Executes regions: rules as pure functions, effects through a host. Imports neither Airflow nor boto3.

Other packages use the public names of these modules: :class:`cch.interpreter.region.RegionRun` runs a region on a
:class:`cch.interpreter.host.Host`; :class:`cch.interpreter.flow.TokenFlow` says what is ready after the outcomes that
are recorded.
"""

__all__ = [
    "amendments",
    "context",
    "contracted",
    "effects",
    "expressing",
    "flow",
    "host",
    "mapping",
    "outcome",
    "region",
    "rehearsal",
    "replay",
    "visit",
]  # fmt: skip
