"""Queues, each with its dead-letter queue, and the topic of alarms."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cch_infra.shared import Names

#: SQS keeps a message at most 14 days (AWS quota); that is what we want for all of them.
_RETENTION = cdk.Duration.days(14)
#: As the program creates them locally (cch.aws.provision).
_MAX_RECEIVE_COUNT = 100
_VISIBILITY = cdk.Duration.seconds(60)
#: A Lambda event source wants six times the function's timeout.
_MOCK_VISIBILITY = cdk.Duration.seconds(360)


class Messaging(Construct):
    """``commands``, ``replies``, the capabilities' request queues, and what failed."""

    def __init__(self, scope: Construct, names: Names, capabilities: tuple[str, ...]) -> None:
        super().__init__(scope, "Messaging")
        self.dead: list[sqs.Queue] = []
        self.commands = self._queue(names, names.command_queue)
        self.replies = self._queue(names, names.reply_queue)
        self.rejected = [
            self._plain(names.rejected_queue(name)) for name in (names.command_queue, names.reply_queue)
        ]
        wanted = dict.fromkeys([*map(names.capability_queue, capabilities), names.fallback_queue])
        self.requests = [self._queue(names, name, visibility=_MOCK_VISIBILITY) for name in wanted]
        self.alarms = sns.Topic(
            self, "Alarms", topic_name=f"{names.prefix}alarms", enforce_ssl=True
        )

    def _plain(self, name: str) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            name,
            queue_name=name,
            retention_period=_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.dead.append(queue)
        return queue

    def _queue(self, names: Names, name: str, visibility: cdk.Duration = _VISIBILITY) -> sqs.Queue:
        dead = self._plain(names.dead_letter_queue(name))
        return sqs.Queue(
            self,
            name,
            queue_name=name,
            retention_period=_RETENTION,
            visibility_timeout=visibility,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=_MAX_RECEIVE_COUNT),
        )
