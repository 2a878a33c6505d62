"""Settings, from the environment (``CCH_OWNER``) or Airflow's configuration (``[cch] owner``).

The environment wins, as everywhere in Airflow. Operators read nothing in their constructors; whoever runs
something calls :func:`load_settings` once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, assert_never

from cch.dialects import OWN, chosen_dialect
from cch.errors import SettingsError
from cch.event_types import chosen_types
from cch.json_settings import NotifierSetting, json_setting, notifier_settings
from cch.names import Names

#: A bucket, perhaps with a prefix.
_S3 = re.compile(r"s3://[A-Za-z0-9.-]{3,63}(/.*)?")
#: What a binding begins with: to a queue, to a Lambda function, to an endpoint.
QUEUE = "sqs:"
LAMBDA = "lambda:"
ADDRESSES = ("http://", "https://")
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

Lookup = Callable[[str], str | None]


def _setting(default: object, about: str, *, shown: str = "", least: int | None = None) -> Any:
    """A field of :class:`Settings`; ``about`` is what operators read of it, ``shown`` the default in their words.

    ``least``: a smaller number is taken for this one.
    """
    return field(default=default, metadata={"about": about, "shown": shown, "least": least})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, with their defaults and what they mean: the one list of them.

    From it come the reading below, Airflow's options (:mod:`cch.provider`) and the table of ``docs/operations.md``.
    """

    names: Names = field(default_factory=Names)
    aws_conn_id: str = _setting(
        "aws_default",
        "Airflow connection for credentials, region, endpoint, role; AWS's own chain without it, and always for `cch`",
    )
    dialect: str = _setting(
        OWN.name,
        "for definitions without the key `dialect`: `cch`, or `lambda_orchestrator` (docs/first-implementation.md)",
    )
    definitions_folder: str = _setting("", "a folder of definitions instead of the bucket")
    definition_buckets: tuple[str, ...] = _setting(
        (), "other buckets, separated by commas, whose `workflowDefinitionURI` names the file of that name here"
    )
    cache_folder: str = _setting(
        "", "definitions on disk; may be lost at any time", shown="`$AIRFLOW_HOME/cch-cache/<env>-<owner>`"
    )
    refresh_seconds: float = _setting(
        5.0, "how long (s) a listing of the definitions is trusted before S3 is asked again"
    )
    #: The platform's own modules are always among them.
    capability_modules: tuple[str, ...] = _setting(
        ("cch.capabilities",), "Python modules with your capabilities, separated by commas"
    )
    capability_bindings: str = _setting(
        "",
        "JSON, or the path of a JSON file: capability → `lambda:<function>`, an http(s) address, or `sqs:<queue>`",
    )
    calls_in_triggerer: bool = _setting(
        False,  # noqa: FBT003 - a default
        "the triggerer calls Lambda functions and addresses of `CCH_CAPABILITY_BINDINGS` (section *Calls without a"
        " worker*)",
    )
    calls_at_once: int = _setting(
        100,
        "calls that one triggerer makes at the same time; others wait for their turn, which counts for no timeout",
        least=1,
    )
    max_answer_bytes: int = _setting(
        6_291_456,
        "largest answer (bytes) of an address that is called; a larger one fails the call; Lambda has the same limit",
        least=1024,
    )
    lifecycle_topic: str = _setting(
        "",
        "ARN of an SNS topic that is told what instances do (section *Lifecycle events* of docs/operations.md)",
    )
    lifecycle_events: str = _setting(
        "WorkflowStateChange", "the types of lifecycle events that are published, separated by commas, or `all`"
    )
    lifecycle_consignment_key: str = _setting(
        "", "path of the context whose value lifecycle events tell as `workflowContext.consignmentId`"
    )
    retention_days: int = _setting(
        0,
        "how long (days) what a finished instance did stays (section *Retention* of docs/operations.md)",
        shown="0 (for ever)",
        least=0,
    )
    archive: str = _setting(
        "",
        "where (`s3://bucket/prefix`) a document of each instance is written before it expires; empty: nowhere",
    )
    incident_days: int = _setting(
        14,
        "how many days back a failed instance or an orphan is an incident (section *Incidents* of docs/operations.md)",
        least=1,
    )
    incident_notifiers: str = _setting(
        "",
        "JSON, or the path of a JSON file: which of Airflow's notifiers are told of incidents (section *Incidents*)",
    )
    reply_consumers: int = _setting(
        4,
        "parallel polls of the reply queue in a triggerer; more than one polls only while batches come full",
        least=1,
    )
    max_message_bytes: int = _setting(
        1_048_576,
        "largest message (bytes) of new queues and of requests; SQS carries 1 MiB; a queue that takes less decides"
        " itself",
        least=1024,
    )
    mailbox_seconds: float = _setting(1.0, "how soon (s) a triggerer sees what another one received for it")
    push_connections: int = _setting(
        50,
        "pages of the dashboard that one API server process tells of changes at once; the others ask every 3 s, and"
        " with 0 all do",
        least=0,
    )
    open_api_user: str = _setting(
        "", "Airflow user as whom everybody acts, without a login, under `/cch/open` (docs/first-implementation.md)"
    )
    open_api_origins: tuple[str, ...] = _setting(
        (), "origins, separated by commas, whose pages may ask there (`https://dashboard.example.org`)"
    )
    rest_files: bool = _setting(
        True,  # noqa: FBT003 - a default
        "the DAG processor parses our DAG files when a definition has changed, and otherwise every five minutes",
    )
    skip_idle_runs: bool = _setting(
        True,  # noqa: FBT003 - a default
        "schedulers leave our runs that only wait out of their rounds (on PostgreSQL or SQLite; others examine all)",
    )
    lean_waiters: bool = _setting(
        True,  # noqa: FBT003 - a default
        "a triggerer is sent, looks at and tells no more than is needed: docs/adr/0018 (as far as Airflow allows it)",
    )
    run_ahead: bool = _setting(
        True,  # noqa: FBT003 - a default
        "waiting regions begin in a triggerer as soon as the region before has left there; Airflow's tasks follow soon",
    )
    full_look_seconds: float = _setting(
        600.0,
        "how often (s) a run that schedulers leave out is still examined",
    )

    @property
    def awaited(self) -> frozenset[str]:
        """The capabilities whose calls new versions leave to the triggerer.

        Those of the bindings alone: what code binds is known only to who imports it, and a DAG processor does not.

        :raises SettingsError: the bindings cannot be read.
        """
        if not self.calls_in_triggerer:
            return frozenset()
        configured = json_setting("CCH_CAPABILITY_BINDINGS", self.capability_bindings)
        return frozenset(each for each, value in configured.items() if value.startswith((LAMBDA, *ADDRESSES)))

    @property
    def notifiers(self) -> tuple[NotifierSetting, ...]:
        """Who is told of incidents.

        :raises SettingsError: the setting cannot be read.
        """
        return notifier_settings(self.incident_notifiers)

    @property
    def cache_path(self) -> Path:
        """The cache folder; by default below ``AIRFLOW_HOME``, one per environment and owner."""
        if self.cache_folder:
            return Path(self.cache_folder)
        home = os.environ.get("AIRFLOW_HOME") or "~/airflow"
        return Path(home).expanduser() / "cch-cache" / f"{self.names.env}-{self.names.owner}"


def airflow_lookup(key: str) -> str | None:
    """``[cch] key`` of Airflow's configuration, if this process has loaded Airflow; else None."""
    if "airflow" not in sys.modules:
        return None
    from airflow.configuration import conf  # noqa: PLC0415 - a leaf must not load Airflow by itself

    value: str | None = conf.get("cch", key, fallback=None)
    return value


Kind = Literal["string", "integer", "float", "boolean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting as it is given: a text under ``CCH_<KEY>`` or ``[cch] <key>``. ``shown``: its default, for people."""

    key: str
    kind: Kind
    default: str
    about: str
    shown: str = ""
    least: int | None = None

    @property
    def variable(self) -> str:
        return f"CCH_{self.key.upper()}"

    def parse(self, text: str) -> str | float | bool:
        """The value that ``text`` stands for; ``""`` stands for the default.

        :raises SettingsError: none that can be used; the message names the variable.
        """
        text = text or self.default
        match self.kind:
            case "string":
                return text
            case "boolean":
                if text.strip().lower() not in _FLAGS:
                    raise SettingsError(f"{self.variable}={text!r} is neither true nor false")
                return _FLAGS[text.strip().lower()]
            case "integer" | "float":
                try:
                    number = float(text)
                    number = number if self.kind == "float" else int(number)
                except (ValueError, OverflowError):
                    raise SettingsError(f"{self.variable}={text!r} is no number") from None
                return number if self.least is None else max(self.least, number)
            case _:
                assert_never(self.kind)


def _option(setting: Field[Any]) -> Option:
    kinds: dict[type, Kind] = {bool: "boolean", int: "integer", float: "float", str: "string", tuple: "string"}
    # Of the modules only those are given that come on top of our own.
    default = "" if isinstance(setting.default, tuple) else str(setting.default)
    return Option(key=setting.name, kind=kinds[type(setting.default)], default=default, **setting.metadata)


_RESOURCES = "resources are named `cch-<env>-<owner>-<resource>`"
#: Every setting that can be given, in the order in which people read them.
OPTIONS: tuple[Option, ...] = (
    Option(key="env", kind="string", default=Names().env, about=_RESOURCES),
    Option(key="owner", kind="string", default=Names().owner, about=_RESOURCES),
    Option(
        key="names",
        kind="string",
        default="",
        about="JSON, or the path of a JSON file: resource → its name, for those that follow another pattern"
        " (section *Resources*)",
    ),
    *(_option(setting) for setting in fields(Settings) if setting.metadata),
)


def bound_queues(bindings: str) -> tuple[tuple[str, str], ...]:
    """(capability or service, queue) of the bindings that are queues."""
    configured = json_setting("CCH_CAPABILITY_BINDINGS", bindings)
    return tuple((key, value.removeprefix(QUEUE)) for key, value in configured.items() if value.startswith(QUEUE))


def load_settings(environ: Mapping[str, str] | None = None, fallback: Lookup = airflow_lookup) -> Settings:
    """Read the settings.

    :raises SettingsError: a value cannot be used; the message names the variable.
    """
    source = os.environ if environ is None else environ

    def read(option: Option) -> str:
        given = source.get(option.variable) or source.get(f"AIRFLOW__CCH__{option.key.upper()}")
        return given or fallback(option.key) or ""

    values: dict[str, Any] = {option.key: option.parse(read(option)) for option in OPTIONS}
    try:
        names = Names(
            env=values.pop("env"),
            owner=values.pop("owner"),
            given=tuple(json_setting("CCH_NAMES", values.pop("names")).items()),
            queues=bound_queues(values["capability_bindings"]),
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None
    chosen_dialect(values["dialect"])
    chosen_types(values["lifecycle_events"])
    notifier_settings(values["incident_notifiers"])
    if values["archive"] and not _S3.fullmatch(values["archive"]):
        raise SettingsError(f"CCH_ARCHIVE={values['archive']!r}: write s3://bucket/prefix")
    given = (name.strip() for name in values["capability_modules"].split(","))
    values["capability_modules"] = tuple(dict.fromkeys((*Settings().capability_modules, *filter(None, given))))
    for several in ("definition_buckets", "open_api_origins"):
        each = (name.strip() for name in values[several].split(","))
        values[several] = tuple(dict.fromkeys(filter(None, each)))
    return Settings(names=names, **values)
