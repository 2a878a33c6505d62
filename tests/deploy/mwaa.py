"""An environment as Amazon MWAA makes one of the package: pins, folders, FAB, Celery, two scheduler containers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cch.stack.layout import aws_environment, choose_ports, free_port, open_layout
from cch.stack.local import LocalStack
from cch.stack.processes import Processes, Service
from tests.deploy.servers import postgres, redis, wait_until

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "mwaa"
PINS = ROOT / "requirements" / "mwaa-3.3.1.txt"
#: Processes of one scheduler container. There are two; and a worker and a web server.
CONTAINER = ("scheduler", "dag-processor", "triggerer")
USERS = {"ada": "Admin", "vic": "Viewer"}
PASSWORD = secrets.token_urlsafe(9)
#: What `airflow users create` does, for several in one process.
MAKE_USERS = """
import sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

with get_application_builder() as builder:
    security = builder.sm
    for user, role in (each.split("=") for each in sys.argv[2:]):
        assert security.add_user(user, user, user, f"{user}@example.org", security.find_role(role), sys.argv[1])
"""
#: Somebody else's DAG, which was there before.
OTHER = """
from airflow.sdk import dag, task

@dag(schedule=None)
def other():
    @task
    def work():
        return 1
    work()

other()
"""


def python() -> str:
    """The image's Python if this machine has it, else this one."""
    versions = Path.home() / ".pyenv" / "versions"
    for candidate in ("python3.12", *map(str, versions.glob("3.12.*/bin/python"))):
        with contextlib.suppress(OSError):
            if subprocess.run([candidate, "-c", ""], check=False, capture_output=True).returncode == 0:
                return candidate
    return sys.executable


@dataclass(frozen=True)
class Image:
    """A virtual environment with what the image has installed."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Image:
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--seed", "--python", python(), str(folder)], check=True)
        image = cls(folder)
        # Redis stands in for the queue of SQS through which MWAA's Celery goes.
        install = [uv, "pip", "install", "--quiet", "--system-certs", "--python", image.program("python")]
        requirements = ["-c", str(PINS), "-r", str(ROOT / "requirements" / "mwaa-image.in"), "redis"]
        subprocess.run([*install, *requirements], check=True)
        return image

    def program(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    def install(self, variant: Path, plugins: Path, **environ: str) -> None:
        """Unpack plugins.zip and install requirements.txt, as the start of a container does."""
        with zipfile.ZipFile(variant / "plugins.zip") as packed:
            packed.extractall(plugins)
        wanted = (variant / "requirements.txt").read_text().replace("/usr/local/airflow/plugins", str(plugins))
        requirements = plugins.parent / "requirements.txt"
        requirements.write_text(wanted)
        command = [self.program("pip"), "install", "--quiet", "-c", str(PINS), "-r", str(requirements)]
        answer = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environ})
        assert answer.returncode == 0, answer.stderr


@dataclass
class Environment:
    """A running environment."""

    image: Image
    home: Path
    aws: LocalStack
    variables: Mapping[str, str]
    processes: Processes
    port: int
    _tokens: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """Output of one of the image's programs, which must succeed."""
        answer = subprocess.run(
            [self.image.program(command[0]), *command[1:]],
            env={**os.environ, **self.variables}, cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert answer.returncode == 0, (answer.stdout + answer.stderr)[-4000:]
        return answer.stdout

    def get(self, path: str, user: str = "") -> tuple[int, Any]:
        return self.ask("GET", path, user)

    def ask(self, method: str, path: str, user: str = "", body: Any = None) -> tuple[int, Any]:
        """Status and content of an answer; JSON where it is some."""
        headers = {"Content-Type": "application/json", "X-CCH-Request": "1"}
        if user:
            headers["Authorization"] = f"Bearer {self._token(user)}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def _token(self, user: str) -> str:
        if user not in self._tokens:
            status, answer = self.ask("POST", "/auth/token", body={"username": user, "password": PASSWORD})
            assert status == 201, answer
            self._tokens[user] = answer["access_token"]
        return self._tokens[user]


def _variables(home: Path, aws: LocalStack, port: int, database: int, broker: int) -> dict[str, str]:
    given = json.loads((BUILT / "configuration-options.json").read_text())
    options = {f"AIRFLOW__{name.replace('.', '__').upper()}": value for name, value in given.items()}
    connection = f"postgresql+psycopg2://airflow@127.0.0.1:{database}/airflow"
    return {
        **aws_environment(aws.layout),
        **options,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connection,
        "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{broker}/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{connection}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "PATH": f"{home.parent / 'image' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


@contextlib.contextmanager
def running_environment(folder: Path) -> Iterator[Environment]:
    """Everything from the installation on, stopped at the end."""
    image, home = Image.create(folder / "image"), folder / "airflow"
    for name in ("plugins", "dags"):
        (home / name).mkdir(parents=True)
    image.install(BUILT / "online", home / "plugins")
    for file in (BUILT / "dags").iterdir():
        (home / "dags" / file.name).write_bytes(file.read_bytes())
    (home / "dags" / "other.py").write_text(OTHER)
    ports = {"api": free_port(), "database": free_port(), "broker": free_port()}
    aws = LocalStack(replace(open_layout(), home=folder / "aws", ports=choose_ports(usual=False)))
    processes = Processes(folder / "processes", folder / "logs")
    started: list[str] = []
    with postgres(ports["database"]), redis(ports["broker"]):
        try:
            aws.start(lambda _line: None, ["aws", "mock"])
            variables = _variables(home, aws, ports["api"], ports["database"], ports["broker"])
            environment = Environment(image, home, aws, variables, processes, ports["api"])
            _migrate(environment)
            _start(environment, {"web-server": ["api-server"], "worker": ["celery", "worker"]}, started)
            _start(environment, _container(1), started)
            wait_until("the web server", lambda: _answers(environment))
            # Not at the same moment, as containers never do: two DAG processors cannot both insert a DAG for the
            # first time, and the one that fails ends (Airflow 3.3.1).
            wait_until("other people's DAG", lambda: environment.get("/api/v2/dags/other", "ada")[0] == 200)
            _start(environment, _container(2), started)
            yield environment
        finally:
            processes.stop(started)
            aws.stop()


def _container(number: int) -> dict[str, list[str]]:
    return {f"{name}-{number}": [name] for name in CONTAINER}


def _start(environment: Environment, commands: Mapping[str, list[str]], started: list[str]) -> None:
    for name, command in commands.items():
        service = Service(name=name, command=[environment.image.program("airflow"), *command])
        port = {"AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port())}
        environment.processes.start(service, {**environment.variables, **port}, environment.home)
        started.append(name)


def _migrate(environment: Environment) -> None:
    environment.run("airflow", "db", "migrate")
    environment.run("python", "-c", MAKE_USERS, PASSWORD, *(f"{user}={role}" for user, role in USERS.items()))


def _answers(environment: Environment) -> bool:
    environment.processes.check("web-server")
    with contextlib.suppress(OSError):
        return environment.get("/api/v2/monitor/health")[0] == 200
    return False
