"""Names of the resources: ``cch-<env>-<owner>-<resource>``, or as they are given one by one. One place decides."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cch.counting import counted

_PART = re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")
#: The resources that may be named one by one.
RESOURCES = (
    "command_queue", "reply_queue", "command_rejected_queue", "reply_rejected_queue", "fallback_queue", "table",
    "definitions_bucket", "eventdata_bucket", "lifecycle_topic",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
#: Characters in the name of a bucket (S3, bucket naming rules).
_LONGEST_BUCKET = 63
#: Longest text from outside that becomes part of a key (characters): DynamoDB's sort keys hold 1,024 bytes, a
#: character up to 4.
LONGEST_IN_KEY = 200


def capability_service(capability_id: str) -> str:
    """The service that owns a capability, as its queue spells it.

    ``declaration_communicator#submit`` → ``declaration-communicator``.
    """
    return re.sub(r"[^a-z0-9-]+", "-", capability_id.split("#", 1)[0].lower()).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one environment's resources."""

    env: str = "dev"
    owner: str = "local"
    #: (resource, its name), of :data:`RESOURCES`.
    given: tuple[tuple[str, str], ...] = ()
    #: (capability or its service, its queue's name, ARN or URL).
    queues: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for resource, name in self.given:
            if resource not in RESOURCES:
                raise ValueError(f"CCH_NAMES: there is no resource {resource!r}; name some of {', '.join(RESOURCES)}")
            if not _NAME.fullmatch(name):
                raise ValueError(f"CCH_NAMES: {resource} is {name!r}: give its name, 1 to 255 of A-Z a-z 0-9 . _ -")
        for label, value in (("CCH_ENV", self.env), ("CCH_OWNER", self.owner)):
            if not _PART.fullmatch(value):
                message = f"{label}={value!r}: use 1 to 20 of a-z, 0-9, '-' and '_', beginning with a letter or digit"
                raise ValueError(message)
        too_long = len(self.definitions_bucket) - _LONGEST_BUCKET
        if too_long > 0 and "definitions_bucket" not in dict(self.given):
            fewer = counted(too_long, "letter")
            message = f"CCH_ENV={self.env!r} and CCH_OWNER={self.owner!r}: shorten them by {fewer} together"
            raise ValueError(f"{message}; S3 allows {_LONGEST_BUCKET} in {self.definitions_bucket}")

    @property
    def prefix(self) -> str:
        return f"cch-{self.env}-{self.owner}-"

    @property
    def _bucket_prefix(self) -> str:
        """S3 forbids ``_`` in names, which queues, topics and tables may have."""
        return self.prefix.replace("_", "-")

    def _named(self, resource: str, name: str) -> str:
        return dict(self.given).get(resource, name)

    @property
    def definitions_bucket(self) -> str:
        return self._named("definitions_bucket", f"{self._bucket_prefix}workflow-definitions-bucket")

    @property
    def eventdata_bucket(self) -> str:
        return self._named("eventdata_bucket", f"{self._bucket_prefix}eventdata-bucket")

    def payload_prefix(self, instance: str) -> str:
        """Below which the payloads of one instance's messages are, where they travel by reference."""
        return f"s3://{self.eventdata_bucket}/payloads/{instance}/"

    @property
    def command_queue(self) -> str:
        return self._named("command_queue", f"{self.prefix}orchestrator-command-queue")

    @property
    def reply_queue(self) -> str:
        return self._named("reply_queue", f"{self.prefix}orchestrator-reply-queue")

    @property
    def fallback_queue(self) -> str:
        return self._named("fallback_queue", f"{self.prefix}capability-fallback-request-queue")

    @property
    def table(self) -> str:
        return self._named("table", f"{self.prefix}workflow-state-table")

    @property
    def lifecycle_topic(self) -> str:
        return self._named("lifecycle_topic", f"{self.prefix}workflow-lifecycle-topic")

    def capability_queue(self, capability_id: str) -> str:
        """The queue of a capability: what is bound to it, or to its service, else by its name; a name, ARN or URL."""
        bound = dict(self.queues)
        own = f"{self.prefix}capability-{capability_service(capability_id)}-request-queue"
        return bound.get(capability_id) or bound.get(capability_id.split("#", 1)[0]) or own

    def is_bound(self, capability_id: str) -> bool:
        """Whether the queue is another team's, which follows no pattern and is not ours to make."""
        return bool({capability_id, capability_id.split("#", 1)[0]} & dict(self.queues).keys())

    def dead_letter_queue(self, queue: str) -> str:
        """Where SQS itself moves a message that nobody could take off ``queue``."""
        return f"{queue}-dlq"

    def rejected_queue(self, queue: str) -> str:
        """Where *we* put what we refuse, with the reason; never SQS's own redrive target."""
        roles = {self.command_queue: "command_rejected_queue", self.reply_queue: "reply_rejected_queue"}
        return self._named(roles.get(queue, ""), f"{queue}-rejected-dlq")
