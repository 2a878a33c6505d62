"""Queues, each with its dead-letter queue, and the topic of lifecycle events."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cch_infra.reasons import excuse
from cch_infra.shared import MAX_BODY, MAX_RECEIVE_COUNT, RETENTION, VISIBILITY, Names


class Messaging(Construct):
    """``commands``, ``replies``, the capabilities' ``requests``, what we ``rejected``, what SQS gave up (``dead``).

    ``lifecycle`` is the topic.
    """

    def __init__(self, scope: Construct, names: Names, capabilities: tuple[str, ...]) -> None:
        super().__init__(scope, "Messaging")
        self._names = names
        self.dead: list[sqs.Queue] = []
        self.commands = self._with_dead_letters("Commands", names.command_queue)
        self.replies = self._with_dead_letters("Replies", names.reply_queue)
        self.rejected = [
            self._last_stop("RejectedCommands", names.rejected_queue(names.command_queue)),
            self._last_stop("RejectedReplies", names.rejected_queue(names.reply_queue)),
        ]
        for queue in self.rejected:
            excuse(
                queue,
                "AwsSolutions-SQS3",
                "Messages end here: only people take them, so none can be received too often.",
            )
        # AWS's own key: whoever may use SNS in this account may use it through SNS.
        key = kms.Alias.from_alias_name(self, "TopicKey", "alias/aws/sns")
        self.lifecycle = sns.Topic(
            self, "Lifecycle", topic_name=names.lifecycle_topic, master_key=key, enforce_ssl=True
        )
        wanted = dict.fromkeys(
            [*(names.capability_queue(each) for each in capabilities if not names.is_bound(each)), names.fallback_queue]
        )
        self.requests = [
            self._with_dead_letters(f"Requests-{name.removeprefix(names.prefix)}", name) for name in wanted
        ]

    def _queue(self, name: str, queue_name: str, **options: Any) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            queue_name=queue_name,
            retention_period=cdk.Duration.seconds(RETENTION),
            max_message_size_bytes=MAX_BODY,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            **options,
        )

    def _last_stop(self, name: str, queue_name: str, **options: Any) -> sqs.Queue:
        """A queue that only people read."""
        queue = self._queue(name, queue_name, **options)
        self.dead.append(queue)
        return queue

    def _with_dead_letters(self, name: str, queue_name: str) -> sqs.Queue:
        dead = self._last_stop(f"{name}Dead", self._names.dead_letter_queue(queue_name))
        return self._queue(
            name,
            queue_name,
            visibility_timeout=cdk.Duration.seconds(VISIBILITY),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=MAX_RECEIVE_COUNT),
        )
