"""Where the local stack keeps things, which ports it uses, and the environment of its processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cch.errors import SettingsError
from cch.settings import load_settings
from cch.stack import programs
from cch.stack.topology import LAST_RESORT, LOCAL, Topology, topology_named

#: Usual ports; a free one is taken where something else listens.
USUAL_PORTS: Mapping[str, int] = {
    "aws": 5566,
    "mock": 8790,
    "airflow": 8080,
    "postgresql": 5466,
    "worker_logs": 8793,
    "trigger_logs": 8794,
}
#: Where a free port is looked for: below those that Linux and macOS give to outgoing connections. One of those could
#: be somebody's connection by the time that the service listens.
_FREE_PORTS = range(20_000, 32_768)
USER = "admin"
#: Binds what the sample definitions call.
_SAMPLES = "cch.testing.sample_capabilities"
_SECRETS = ("jwt", "api", "database", "redis", "password")


#: Seconds for which a writer waits for another one before SQLite says `database is locked`; its own default is 5.
_BUSY = 120


def _file_url(path: Path) -> str:
    return f"sqlite:///{path}?timeout={_BUSY}"


def project_root() -> Path:
    """The checkout: the folder with ``dags/`` and ``plugins/``.

    :raises SettingsError: the package is installed without one.
    """
    for candidate in (Path(os.environ.get("CCH_PROJECT", ".")), Path(__file__).resolve().parents[3]):
        if (candidate / "dags" / "cch_workflows.py").is_file():
            return candidate.resolve()
    raise SettingsError("the local stack needs a checkout of the project: run this there, or set CCH_PROJECT")


def _is_free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """One on which nothing listens, and which is none of ``taken``.

    :raises SettingsError: there is none.
    """
    for port in random.sample(_FREE_PORTS, len(_FREE_PORTS)):
        if port not in taken and _is_free(port):
            return port
    raise SettingsError(f"no port from {_FREE_PORTS[0]} to {_FREE_PORTS[-1]} is free: stop what listens there")


def choose_ports(topology: Topology = LOCAL, *, usual: bool = True) -> dict[str, int]:
    """A free port for each service; with ``usual``, the usual one if it has one and nothing else listens there."""
    chosen: dict[str, int] = {}
    for name, port in USUAL_PORTS.items():
        taken = set(chosen.values())
        chosen[name] = port if usual and port not in taken and _is_free(port) else free_port(taken)
    for name in topology.ports:
        if name not in chosen:
            chosen[name] = free_port(chosen.values())
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Folders, ports and parts of one stack."""

    root: Path
    home: Path
    ports: Mapping[str, int]
    topology: Topology = LOCAL

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def database(self) -> Path:
        """Airflow's database, if it is SQLite."""
        return self.airflow_home / "airflow.db"

    @property
    def database_url(self) -> str:
        if self.topology.database == "sqlite":
            return _file_url(self.database)
        return (
            f"postgresql+psycopg2://airflow:{self.secrets()['database']}@127.0.0.1:{self.ports['postgresql']}/airflow"
        )

    @property
    def test_database(self) -> Path:
        """A database of its own for ``airflow dags test``: a running scheduler would race for the run's tasks."""
        return self.airflow_home / "dags-test.db"

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['aws']}"

    @property
    def mock_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['mock']}"

    @property
    def ui_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['airflow']}"

    def save(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "ports.json").write_text(json.dumps(dict(self.ports)))
        (self.home / "topology.json").write_text(json.dumps(asdict(self.topology)))

    def secrets(self) -> dict[str, str]:
        """Passwords and keys of this stack, made once."""
        path = self.home / "secrets.json"
        stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if missing := [name for name in _SECRETS if name not in stored]:
            self.home.mkdir(parents=True, exist_ok=True)
            stored |= {name: secrets.token_urlsafe(9 if name == "password" else 32) for name in missing}
            path.touch(mode=0o600)
            path.write_text(json.dumps(stored))
        return stored


def usual_stand_in() -> str:
    """The stand-in for AWS that ``CCH_STACK_AWS`` names, else moto's server."""
    return os.environ.get("CCH_STACK_AWS") or LOCAL.aws


def usual_topology() -> Topology:
    """What ``CCH_TOPOLOGY`` names, else PostgreSQL and one of each process, else, as a last resort, SQLite.

    :raises SettingsError: there is no topology, or no stand-in for AWS, of that name.
    """
    named = topology_named(os.environ.get("CCH_TOPOLOGY") or "local")
    return (LAST_RESORT if named == LOCAL and programs.missing() else named).on(usual_stand_in())


def open_layout(*, choose: bool = False, topology: Topology | None = None) -> Layout:
    """The layout of this checkout's stack, with the ports it has or, if it has none, the usual ones.

    ``choose``: find free ports now, for a stack that is about to start from nothing; ``topology`` says of what, by
    default what ``CCH_TOPOLOGY`` names.
    """
    root = project_root()
    home = Path(os.environ.get("CCH_HOME") or root / "build" / "stack").resolve()
    if choose:
        topology = topology or usual_topology()
        # Stacks with a home of their own may start at the same moment, and would meet on the usual ports.
        ports = choose_ports(topology, usual="CCH_HOME" not in os.environ)
        return Layout(root=root, home=home, ports=ports, topology=topology)
    return Layout(
        root=root,
        home=home,
        ports={**USUAL_PORTS, **_saved(home / "ports.json")},
        topology=Topology(**_saved(home / "topology.json")),
    )


def _saved(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def aws_environment(layout: Layout) -> dict[str, str]:
    """What any program needs to use the stack's AWS."""
    return {
        "AWS_ENDPOINT_URL": layout.aws_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _celery_environment(layout: Layout) -> dict[str, str]:
    if layout.topology.executor != "CeleryExecutor":
        return {}
    return {
        "AIRFLOW__CELERY__BROKER_URL": f"redis://:{layout.secrets()['redis']}@127.0.0.1:{layout.ports['redis']}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{layout.database_url}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "4",
        "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "cch.scheduling.celery_worker.CONFIG",
    }


#: Looks for new definitions and finished tasks often, unless somebody wants otherwise. Production keeps Airflow's
#: defaults.
_SHORT_FIRST_RUN = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
}


def environment(layout: Layout, *, database: Path | None = None) -> dict[str, str]:
    """The variables that every process of the stack gets, Airflow's included.

    ``database``: a file of SQLite instead of the stack's own database.
    """
    keys, settings = layout.secrets(), load_settings()
    names = settings.names
    return {
        **aws_environment(layout),
        "CCH_ENV": names.env,
        "CCH_OWNER": names.owner,
        "CCH_MOCK_URL": layout.mock_url,
        # First, so that a module of the user's may bind the same capability to something else.
        "CCH_CAPABILITY_MODULES": ",".join(dict.fromkeys((_SAMPLES, *settings.capability_modules))),
        "CCH_HOME": str(layout.home),
        "CCH_PROJECT": str(layout.root),
        "CCH_CACHE_FOLDER": str(layout.home / "definitions-cache"),
        "CCH_REFRESH_SECONDS": "2",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        # Empty, whatever the shell says: each task is a process, which would compile every module again.
        "PYTHONDONTWRITEBYTECODE": "",
        "AIRFLOW_HOME": str(layout.airflow_home),
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AIRFLOW__CORE__DAGS_FOLDER": str(layout.root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(layout.root / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": layout.topology.executor,
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{layout.ui_url}/execution/",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(layout.home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _file_url(database) if database else layout.database_url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(layout.ports["airflow"]),
        "AIRFLOW__API__BASE_URL": layout.ui_url,
        "CCH_API_URL": layout.ui_url,
        "CCH_API_USER": USER,
        "CCH_API_PASSWORD": keys["password"],
        "AIRFLOW__API__SECRET_KEY": keys["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(layout.ports["worker_logs"]),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(layout.ports["trigger_logs"]),
        **{name: os.environ.get(name, value) for name, value in _SHORT_FIRST_RUN.items()},
        "AIRFLOW__TRIGGERER__CAPACITY": "24000",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        **_celery_environment(layout),
    }
