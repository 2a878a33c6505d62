"""The processes of the stack: commands, and what each gets into its environment beside what all get."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from cch.stack import postgresql, redis
from cch.stack.layout import Layout
from cch.stack.processes import Service
from cch.stack.topology import StandIn

#: The module of each stand-in for AWS; both take the same arguments.
_AWS: Mapping[StandIn, str] = {"moto": "cch.testing.aws_server", "quick": "cch.testing.quick_aws.server"}


def service(layout: Layout, name: str) -> Service:
    """The service of that name in the layout's topology.

    :raises StackError: a program that it needs is not installed.
    """
    match name:
        case "aws":
            functions = str(layout.root / "lambda-functions")
            port = str(layout.ports["aws"])
            module = [sys.executable, "-m", _AWS[layout.topology.aws]]
            return Service(name=name, command=[*module, "--port", port, "--functions", functions])
        case "mock":
            contracts = str(layout.root / "workflow-definitions" / "capabilities")
            module = [sys.executable, "-m", "capability_mock"]
            return Service(
                name=name,
                command=[*module, "--control-port", str(layout.ports["mock"]), "--contracts", contracts],
                environment={"PYTHONPATH": str(layout.root / "capability-mock-service")},
            )
        case "postgresql":
            return postgresql.service(layout)
        case "redis":
            return redis.service(layout)
        case _:
            return _airflow(layout, name)


def _airflow(layout: Layout, name: str) -> Service:
    kind = name.rsplit("-", 1)[0] if name[-1].isdigit() else name
    program = str(Path(sys.executable).with_name("airflow"))
    arguments = ["celery", "worker", "--celery-hostname", name] if kind == "worker" else [kind]
    environment = {}
    if (port := layout.ports.get(name)) is not None:  # each serves its own logs
        served = "TRIGGER" if kind == "triggerer" else "WORKER"
        environment[f"AIRFLOW__LOGGING__{served}_LOG_SERVER_PORT"] = str(port)
    return Service(name=name, command=[program, *arguments], environment=environment, stage=2)
