"""The alarm for failed workflows: counts what the program logs once for each, in Airflow's task logs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct

from cch_infra.observation import Alarms
from cch_infra.shared import FAILED, Names


class FailedWorkflows(Construct):
    """A metric of a log group, and its alarm."""

    def __init__(self, scope: Construct, names: Names, log_group: str, alarms: Alarms) -> None:
        super().__init__(scope, "FailedWorkflows")
        self.filter = logs.MetricFilter(
            self,
            "Filter",
            log_group=logs.LogGroup.from_log_group_name(self, "TaskLogs", log_group),
            filter_pattern=logs.FilterPattern.literal(f'"{FAILED}"'),
            metric_namespace=f"CCH/{names.env}-{names.owner}",
            metric_name="FailedWorkflows",
            metric_value="1",
        )
        alarms.add(
            "failed-workflows",
            self.filter.metric(statistic="Sum", period=cdk.Duration.minutes(5)),
            "Workflow instances have failed: look them up by their state; each has its reason.",
        )
