"""Alarms for what a person must look at, and a dashboard."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from cch_infra.functions import Functions
from cch_infra.messaging import Messaging
from cch_infra.shared import Names
from cch_infra.storage import Storage

#: Seconds that a command or a reply may wait: the router takes one within a second.
_OLD_MESSAGE = 300
_FIVE_MINUTES = cdk.Duration.minutes(5)


class Observation(Construct):
    """Dead letters, old messages, failing functions, throttled table."""

    def __init__(
        self,
        scope: Construct,
        names: Names,
        messaging: Messaging,
        functions: Functions,
        storage: Storage,
        *,
        alarm_email: str,
    ) -> None:
        super().__init__(scope, "Observation")
        self._topic = messaging.alarms
        self._prefix = names.prefix
        if alarm_email:
            messaging.alarms.add_subscription(subscriptions.EmailSubscription(alarm_email))
        dead = [
            self._alarm(
                f"dead-letters-{queue.node.id}",
                queue.metric_approximate_number_of_messages_visible(period=_FIVE_MINUTES),
                1,
                "Somebody must look at these messages: docs/operations.md, fates of messages.",
            )
            for queue in messaging.dead
        ]
        old = [
            self._alarm(
                f"old-messages-{queue.node.id}",
                queue.metric_approximate_age_of_oldest_message(period=_FIVE_MINUTES),
                _OLD_MESSAGE,
                "No router takes messages: is a triggerer running, and the DAG cch_commands not paused?",
            )
            for queue in (messaging.commands, messaging.replies)
        ]
        failing = [
            self._alarm(
                f"errors-{function.node.id}",
                function.metric_errors(period=_FIVE_MINUTES),
                1,
                "The function failed: its log group has the reason.",
            )
            for function in (*functions.tasks, *([functions.mock] if functions.mock else []))
        ]
        throttled = self._alarm(
            "throttled-ledger",
            cloudwatch.Metric(
                namespace="AWS/DynamoDB",
                metric_name="ThrottledRequests",
                dimensions_map={"TableName": names.table},
                statistic="Sum",
                period=_FIVE_MINUTES,
            ),
            1,
            "DynamoDB throttles the ledger: everything waits and goes on later; look at the table's capacity.",
        )
        failed = self._alarm(
            "failed-workflows",
            cloudwatch.Metric(
                namespace="CCH",
                metric_name="InstancesFailed",
                dimensions_map={"Environment": names.prefix.rstrip("-")},
                statistic="Sum",
                period=_FIVE_MINUTES,
            ),
            1,
            "Workflow instances have failed: the dashboard lists them.",
        )
        self._dashboard(messaging, [*dead, *old, *failing, throttled, failed])

    def _alarm(self, name: str, metric: cloudwatch.IMetric, threshold: float, what_to_do: str) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}{name.removeprefix(self._prefix)}",
            alarm_description=what_to_do,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self._topic))
        return alarm

    def _dashboard(self, messaging: Messaging, alarms: list[cloudwatch.Alarm]) -> None:
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"{self._prefix}dashboard")
        both = (messaging.commands, messaging.replies)
        board.add_widgets(
            cloudwatch.AlarmStatusWidget(title="Alarms", alarms=alarms, width=24, height=6),
        )
        board.add_widgets(
            cloudwatch.GraphWidget(
                title="Age of the oldest message (s)",
                left=[queue.metric_approximate_age_of_oldest_message() for queue in both],
                width=12,
            ),
            cloudwatch.GraphWidget(
                title="Messages taken",
                left=[queue.metric_number_of_messages_deleted() for queue in (*both, *messaging.requests)],
                width=12,
            ),
        )
