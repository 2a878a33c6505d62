"""Names of the resources: ``cch-<env>-<owner>-<resource>``. One place decides them all."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")
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

    def __post_init__(self) -> None:
        for label, value in (("CCH_ENV", self.env), ("CCH_OWNER", self.owner)):
            if not _PART.fullmatch(value):
                message = f"{label}={value!r}: use 1 to 20 of a-z, 0-9, '-' and '_', beginning with a letter or digit"
                raise ValueError(message)
        too_long = len(self.definitions_bucket) - _LONGEST_BUCKET
        if too_long > 0:
            message = f"CCH_ENV={self.env!r} and CCH_OWNER={self.owner!r}: shorten them by {too_long} letters together"
            raise ValueError(f"{message}; S3 allows {_LONGEST_BUCKET} in {self.definitions_bucket}")

    @property
    def prefix(self) -> str:
        return f"cch-{self.env}-{self.owner}-"

    @property
    def _bucket_prefix(self) -> str:
        """S3 forbids ``_`` in names, which queues, topics and tables may have."""
        return self.prefix.replace("_", "-")

    @property
    def definitions_bucket(self) -> str:
        return f"{self._bucket_prefix}workflow-definitions-bucket"

    @property
    def eventdata_bucket(self) -> str:
        return f"{self._bucket_prefix}eventdata-bucket"

    def payload_prefix(self, instance: str) -> str:
        """Below which the payloads of one instance's messages are, where they travel by reference."""
        return f"s3://{self.eventdata_bucket}/payloads/{instance}/"

    @property
    def command_queue(self) -> str:
        return f"{self.prefix}orchestrator-command-queue"

    @property
    def reply_queue(self) -> str:
        return f"{self.prefix}orchestrator-reply-queue"

    @property
    def fallback_queue(self) -> str:
        return f"{self.prefix}capability-fallback-request-queue"

    @property
    def table(self) -> str:
        return f"{self.prefix}workflow-state-table"

    @property
    def lifecycle_topic(self) -> str:
        return f"{self.prefix}workflow-lifecycle-topic"

    def capability_queue(self, capability_id: str) -> str:
        return f"{self.prefix}capability-{capability_service(capability_id)}-request-queue"

    def dead_letter_queue(self, queue: str) -> str:
        """Where SQS itself moves a message that nobody could take off ``queue``."""
        return f"{queue}-dlq"

    def rejected_queue(self, queue: str) -> str:
        """Where *we* put what we refuse, with the reason; never SQS's own redrive target."""
        return f"{queue}-rejected-dlq"
