"""The stack of one environment: everything that one ``env`` and ``owner`` need, named after them."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from constructs import Construct, Node

from cch_infra.functions import Functions
from cch_infra.managed_airflow import ManagedAirflow
from cch_infra.messaging import Messaging
from cch_infra.observation import Observation
from cch_infra.permissions import ExecutionRole
from cch_infra.shared import SAMPLE_CAPABILITIES, Names
from cch_infra.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the context decides (``-c key=value``).

    ``capabilities``: services that get a request queue of their own, separated by commas. ``mock``: the capability
    mock answers them. ``mwaa``: an Amazon MWAA environment with its network. ``keep``: data outlive the stack.
    ``alarm_email``: who is told of alarms.
    """

    names: Names
    capabilities: tuple[str, ...] = SAMPLE_CAPABILITIES
    mock: bool = True
    mwaa: bool = False
    keep: bool = False
    alarm_email: str = ""

    @classmethod
    def of(cls, node: Node) -> Choices:
        """:raises ValueError: ``env`` or ``owner`` cannot be part of a name."""

        def text(key: str, default: str) -> str:
            return str(node.try_get_context(key) or default)

        def yes(key: str, *, default: bool) -> bool:
            return text(key, str(default)).lower() in ("true", "1", "yes")

        names = Names(env=text("env", "dev"), owner=text("owner", "local"))
        capabilities = text("capabilities", ",".join(SAMPLE_CAPABILITIES)).split(",")
        return cls(
            names=names,
            capabilities=tuple(name.strip() for name in capabilities if name.strip()),
            mock=yes("mock", default=names.env != "prod"),
            mwaa=yes("mwaa", default=False),
            keep=yes("keep", default=names.env == "prod"),
            alarm_email=text("alarm_email", ""),
        )


class CchStack(cdk.Stack):
    """``cch-<env>-<owner>``."""

    def __init__(self, scope: Construct, choices: Choices) -> None:
        names = choices.names
        super().__init__(
            scope,
            names.prefix.rstrip("-"),
            description="CCH on Airflow: queues, ledger and buckets of one environment",
            termination_protection=choices.keep,
        )
        cdk.Tags.of(self).add("cch:env", names.env)
        cdk.Tags.of(self).add("cch:owner", names.owner)
        storage = Storage(self, names, keep=choices.keep)
        messaging = Messaging(self, names, choices.capabilities)
        functions = Functions(self, names, storage, messaging, mock=choices.mock)
        role = ExecutionRole(self, names, storage, messaging, functions, mwaa=choices.mwaa)
        Observation(self, names, messaging, functions, storage, alarm_email=choices.alarm_email)
        if choices.mwaa:
            ManagedAirflow(self, names, role, keep=choices.keep)
        for name, value in (
            ("DefinitionsBucket", storage.definitions.bucket_name),
            ("Table", storage.table.table_name or ""),
            ("CommandQueueUrl", messaging.commands.queue_url),
            ("ReplyQueueUrl", messaging.replies.queue_url),
            ("ExecutionRoleArn", role.role.role_arn),
        ):
            cdk.CfnOutput(self, name, value=value)
