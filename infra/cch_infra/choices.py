"""What the context decides (``-c key=value``)."""

from __future__ import annotations

from dataclasses import dataclass

from constructs import Node

from cch_infra.shared import SAMPLE_CAPABILITIES, Names

_YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One environment, as its owner wants it. README.md has the table."""

    names: Names
    #: Services that get a request queue of their own; all others share the fallback queue.
    capabilities: tuple[str, ...]
    #: The capability mock answers the requests.
    mock: bool
    #: An Amazon MWAA environment with its network.
    mwaa: bool
    #: Data outlive the stack.
    keep: bool
    #: Who is told of alarms; empty: nobody yet.
    alarm_email: str
    #: CloudWatch log group with the task logs of an Airflow of your own; empty: none.
    airflow_log_group: str
    #: S3 versions of plugins.zip and requirements.txt; empty: MWAA starts without them.
    plugins_version: str
    requirements_version: str

    @classmethod
    def of(cls, node: Node) -> Choices:
        """Read the context.

        :raises ValueError: a value cannot be used; the message names it.
        """

        def text(key: str, default: str = "") -> str:
            return str(node.try_get_context(key) or default).strip()

        def yes(key: str, *, default: bool) -> bool:
            given = text(key, str(default)).lower()
            if given not in _YES_NO:
                message = f"-c {key}={given}: say true or false"
                raise ValueError(message)
            return _YES_NO[given]

        names = Names(env=text("env", "dev"), owner=text("owner", "local"))
        production = names.env == "prod"
        return cls(
            names=names,
            capabilities=tuple(
                filter(None, map(str.strip, text("capabilities", ",".join(SAMPLE_CAPABILITIES)).split(",")))
            ),
            mock=yes("mock", default=not production),
            mwaa=yes("mwaa", default=False),
            keep=yes("keep", default=production),
            alarm_email=text("alarm_email"),
            airflow_log_group=text("airflow_log_group"),
            plugins_version=text("plugins_version"),
            requirements_version=text("requirements_version"),
        )
