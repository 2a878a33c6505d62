"""``cch up``, ``down``, ``env``: the local stack."""

from __future__ import annotations

import shlex
import signal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cch.stack.health import health
from cch.stack.layout import USER, environment, open_layout, usual_topology
from cch.stack.local import LocalStack
from cch.stack.processes import interrupt_on
from cch.stack.topology import LOCAL, STAND_INS, TOPOLOGIES, Topology, topology_named

_errors = Console(stderr=True)


def up(
    only: str = typer.Option("", help="Comma-separated services instead of all, for example aws,mock."),
    topology: str = typer.Option(
        "",
        envvar="CCH_TOPOLOGY",
        help=f"Of what it consists: {', '.join(TOPOLOGIES)}. Default: what runs, else local.",
    ),
    aws: str = typer.Option(
        "",
        envvar="CCH_STACK_AWS",
        help=f"What stands in for AWS: {', '.join(STAND_INS)} (takes little CPU, knows less). Default: what runs, else"
        f" {LOCAL.aws}.",
    ),
) -> None:
    """Start the local stack: AWS's stand-in, the capability mock, PostgreSQL, Airflow.

    A process that ends by itself is started again; running this once more, or `cch doctor`, tells why it ended.
    """
    interrupt_on(signal.SIGTERM, signal.SIGHUP)
    stack = LocalStack.open(wished(topology, aws))
    services = stack.topology.services
    names = tuple(name.strip() for name in only.split(",") if name.strip()) or services
    unknown = sorted(set(names) - set(services))
    if unknown:
        raise typer.BadParameter(f"no service {', '.join(unknown)}; there are {', '.join(services)}")
    before = stack.running()
    try:
        stack.start(_errors.print, names, samples=True)
    except KeyboardInterrupt:
        _errors.print("stopping what has been started …")
        stack.stop(keep=before)
        raise typer.Exit(130) from None
    stack.keep()
    table = Table("service", "process", "log")
    states = health(stack)
    for each in states:
        table.add_row(each.name, str(each.pid or "-"), each.log)
    console = Console()
    console.print(table)
    for each in states:
        if each.story:
            _errors.print(f"[yellow]{each.name}[/yellow] {escape(each.story)}", highlight=False, soft_wrap=True)
    if set(names) == set(services):
        console.print(f"Airflow: {stack.layout.ui_url}  user [b]{USER}[/b]  password [b]{stack.password}[/b]")


def wished(topology: str, aws: str) -> Topology | None:
    """Of what the stack is to consist; None: of what it consists, if it runs.

    :raises SettingsError: there is no topology, or no stand-in for AWS, of that name.
    """
    if topology:
        parts = usual_topology() if topology == "local" else topology_named(topology)
    elif aws:
        stack = LocalStack(open_layout())
        parts = stack.topology if stack.running() else usual_topology()
    else:
        return None
    return parts.on(aws) if aws else parts


def down() -> None:
    """Stop the local stack. What AWS's stand-in held is gone; Airflow's database stays."""
    stopped = LocalStack(open_layout()).stop()
    Console().print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def env(
    stack: bool = typer.Option(False, "--stack", help="Use the running Airflow's database, not the one for tests."),
) -> None:
    """Print the environment for a shell: eval "$(cch env)", then `airflow dags test …`, `aws …` or `cch …`.

    `airflow dags test` gets a database of its own, because a running scheduler would race for the run's tasks.
    """
    layout = open_layout()
    local = LocalStack(layout)
    if not stack and not layout.test_database.exists():
        layout.airflow_home.mkdir(parents=True, exist_ok=True)
        _errors.print("preparing the database for `airflow dags test` …")
        local.make_file(layout.test_database)
    if "aws" not in local.running():
        _errors.print("[yellow]note:[/yellow] the local stack is not up: run `cch up` (or `cch up --only aws,mock`)")
    variables = environment(layout, database=None if stack else layout.test_database)
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def demo(once: bool = typer.Option(False, "--once", help="Stop when the workflow has finished.")) -> None:
    """Run the main job end to end on the local stack, and show it."""
    from cch.stack.demo import Demo  # noqa: PLC0415

    raise typer.Exit(Demo(once=once).show())


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (demo, up, down, env):
        app.command()(command)
