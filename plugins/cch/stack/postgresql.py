"""A PostgreSQL server of the stack's own, from Debian's package, with its data below the stack's home."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from cch.stack.layout import Layout
from cch.stack.processes import Service, StackError

NAME = "airflow"
#: PostgreSQL refuses to run as root; Debian's package makes this account.
_ACCOUNT = "postgres"
#: Debian keeps the programs of each version apart.
_VERSIONS = Path("/usr/lib/postgresql")
#: A stack that dies with the machine is made anew; one that is killed loses nothing all the same.
_OPTIONS = ("fsync=off", "max_connections=300", "unix_socket_directories=", "listen_addresses=127.0.0.1")


def _program(name: str) -> str:
    newest = sorted(_VERSIONS.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, newest), os.environ.get("PATH", "")]))
    if found is None:
        raise StackError(f"{name} is not installed: on Debian `apt-get install postgresql`")
    return found


def missing() -> str:
    """Why there can be no server, or ""."""
    try:
        _program("initdb")
    except StackError as error:
        return str(error)
    return ""


def _folder(layout: Layout) -> Path:
    return layout.home / "postgresql"


def _user() -> str:
    return _ACCOUNT if os.geteuid() == 0 else ""


def service(layout: Layout) -> Service:
    """The server; ``prepare`` has to come first.

    :raises StackError: PostgreSQL is not installed.
    """
    options = [part for option in (*_OPTIONS, f"port={layout.ports['postgresql']}") for part in ("-c", option)]
    command = [_program("postgres"), "-D", str(_folder(layout) / "data"), *options]
    # SIGTERM would wait until all clients have gone.
    return Service(name="postgresql", command=command, user=_user(), stop_signal="SIGINT")


def prepare(layout: Layout) -> None:
    """Make the data folder, once.

    :raises StackError: PostgreSQL is not installed, or cannot reach the folder.
    """
    folder = _folder(layout)
    if (folder / "data" / "PG_VERSION").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(layout.secrets()["database"])
    if user := _user():
        _give_away(layout, user, folder, password)
    command = [
        _program("initdb"), "--pgdata", str(folder / "data"), "--username", NAME, "--pwfile", str(password),
        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
    ]  # fmt: skip
    account = _user() or None
    answer = subprocess.run(  # noqa: S603
        command, cwd="/", user=account, group=account, capture_output=True, text=True, check=False
    )
    password.unlink()
    if answer.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise StackError(f"initdb: {(answer.stderr or answer.stdout).strip()[-2000:]}")


def _give_away(layout: Layout, user: str, *paths: Path) -> None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        raise StackError(f"there is no account {user}: on Debian `apt-get install postgresql`") from None
    for path in paths:
        shutil.chown(path, user, user)
    layout.home.chmod(layout.home.stat().st_mode | 0o011)  # to pass, not to look
    closed = [str(parent) for parent in layout.home.parents if not parent.stat().st_mode & 0o001]
    if closed:
        raise StackError(
            f"PostgreSQL runs as {user}, which may not pass {closed[-1]}: set CCH_HOME to a folder where others may"
        )


def create_database(layout: Layout) -> None:
    """Make Airflow's empty database; an existing one is dropped."""
    environment = {"PGPASSWORD": layout.secrets()["database"]}
    where = ["--host", "127.0.0.1", "--port", str(layout.ports["postgresql"]), "--username", NAME]
    for command in (["dropdb", "--if-exists", *where, NAME], ["createdb", *where, NAME]):
        answer = subprocess.run(  # noqa: S603
            [_program(command[0]), *command[1:], "--maintenance-db", "postgres"],
            env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if answer.returncode:
            raise StackError(f"{command[0]}: {answer.stderr.strip()[-2000:]}")


def answers(layout: Layout) -> bool:
    """Whether the server takes connections."""
    command = [_program("pg_isready"), "--quiet", "--host", "127.0.0.1", "--port", str(layout.ports["postgresql"])]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603
