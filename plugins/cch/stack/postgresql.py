"""A PostgreSQL server of the stack's own, with its data below the stack's home."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cch.stack import programs
from cch.stack.layout import Layout
from cch.stack.processes import Service, StackError
from cch.stack.programs import Programs

NAME = "airflow"
#: PostgreSQL refuses to run as root: then it runs as the first of these accounts that there is.
_ACCOUNTS = ("postgres", "nobody")
#: A stack that dies with the machine is made anew; one that is killed loses nothing all the same.
_OPTIONS = ("fsync=off", "max_connections=300", "unix_socket_directories=", "listen_addresses=127.0.0.1")


def _account() -> pwd.struct_passwd | None:
    """Who the server runs as, if not as we do.

    :raises StackError: there is no account for it.
    """
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError(f"PostgreSQL does not run as root, and there is no account {' or '.join(_ACCOUNTS)}")


def _may_pass(folder: Path) -> bool:
    """Whether anybody may reach what is in the folder, if it was open itself."""
    return all(parent.stat().st_mode & 0o001 for parent in folder.parents)


def _folder(layout: Layout) -> Path:
    """What belongs to the server: below the stack's home, or, if its account may not pass there, beside other
    temporary files.
    """
    if _account() is None or _may_pass(layout.home):
        return layout.home / "postgresql"
    mark = hashlib.sha256(str(layout.home).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"cch-postgresql-{mark}"


def _programs(layout: Layout) -> Programs:
    """Those that fit the data that is there.

    :raises StackError: there are none.
    """
    if reason := programs.missing():
        raise StackError(reason)
    data, found = _folder(layout) / "data", programs.found()
    if (mark := data / "PG_VERSION").exists():
        version = int(mark.read_text())
        found = [each for each in found if each.version == version]
        if not found:
            raise StackError(f"{data} is of PostgreSQL {version}, which is not installed any more: remove that folder")
    if _account() is None:
        return found[0]
    return next((each for each in found if _may_pass(each.folder)), found[-1])


def service(layout: Layout) -> Service:
    """The server; ``prepare`` has to come first.

    :raises StackError: PostgreSQL is not installed.
    """
    options = [part for option in (*_OPTIONS, f"port={layout.ports['postgresql']}") for part in ("-c", option)]
    command = [_reachable(layout).path("postgres"), "-D", str(_folder(layout) / "data"), *options]
    account = _account()
    # SIGTERM would wait until all clients have gone.
    return Service(
        name="postgresql", command=command, user=account.pw_name if account else "", stop_signal="SIGINT", stage=1
    )


def _reachable(layout: Layout) -> Programs:
    """Programs that the server's account may execute."""
    found = _programs(layout)
    if _account() is None or _may_pass(found.folder):
        return found
    if not found.bundled:
        raise StackError(f"PostgreSQL's account may not pass to {found.folder}")
    return found.copied(_folder(layout) / "programs")


def prepare(layout: Layout) -> None:
    """Make the data folder, once.

    :raises StackError: PostgreSQL is not installed, or cannot make it.
    """
    folder, account = _folder(layout), _account()
    if (folder / "data" / "PG_VERSION").exists():
        return
    _make(folder, account)
    if account and folder.is_relative_to(layout.home):
        layout.home.chmod(layout.home.stat().st_mode | 0o011)  # to pass, not to look
    data, password = folder / "data", folder / "password"
    data.mkdir(mode=0o700)
    password.touch(mode=0o600)
    password.write_text(layout.secrets()["database"])
    if account:
        for path in (data, password):
            os.chown(path, account.pw_uid, account.pw_gid)
    command = [
        _reachable(layout).path("initdb"), "--pgdata", str(data), "--username", NAME, "--pwfile", str(password),
        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
    ]  # fmt: skip
    answer = subprocess.run(  # noqa: S603
        command, cwd="/", **_as(account), capture_output=True, text=True, check=False
    )
    password.unlink()
    if answer.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise StackError(f"initdb: {(answer.stderr or answer.stdout).strip()[-2000:]}")


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


def _make(folder: Path, account: pwd.struct_passwd | None) -> None:
    """The server's own folder, which others may pass but not look into; what a failed start has left goes."""
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid not in _ids(account)):
        raise StackError(f"{folder} belongs to somebody else: remove it")
    shutil.rmtree(folder / "data", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711 if account else 0o700)


def _ids(account: pwd.struct_passwd | None) -> tuple[int, ...]:
    return (os.geteuid(), account.pw_uid) if account else (os.geteuid(),)


def is_new(layout: Layout) -> bool:
    """Whether Airflow's tables have to be made."""
    return not (_folder(layout) / "migrated").exists()


def migrated(layout: Layout) -> None:
    """They have been made."""
    (_folder(layout) / "migrated").touch()


def remove(layout: Layout) -> None:
    """Remove all that belongs to the server, which has been stopped."""
    shutil.rmtree(_folder(layout), ignore_errors=True)


def create_database(layout: Layout) -> None:
    """Make Airflow's empty database; an existing one is dropped.

    :raises StackError: the server refuses.
    """
    import psycopg2  # noqa: PLC0415 - slow, and only where there is such a stack

    try:
        connection = _connect(layout)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
                cursor.execute(f"CREATE DATABASE {NAME}")
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise StackError(f"database: {str(error).strip()}") from None


def answers(layout: Layout) -> bool:
    """Whether the server takes connections."""
    import psycopg2  # noqa: PLC0415

    try:
        _connect(layout).close()
    except psycopg2.Error:
        return False
    return True


def _connect(layout: Layout) -> Any:
    import psycopg2  # noqa: PLC0415

    return psycopg2.connect(
        host="127.0.0.1", port=layout.ports["postgresql"], user=NAME, password=layout.secrets()["database"],
        dbname="postgres", connect_timeout=10,
    )  # fmt: skip
