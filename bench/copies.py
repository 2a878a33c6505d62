"""Copies of the rows of a run that waits, in Airflow's database: thousands of waiting runs in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cch.stack.local import LocalStack


def copy_run(stack: LocalStack, run: str, count: int, first: int, *, triggers: bool) -> None:
    """Make ``count`` copies of a run and its tasks; their run ids are ``<run>-<first>`` and so on.

    ``triggers``: copy the triggers too, so that a triggerer takes the copies for tasks that begin there. Without, only
    the scheduler sees them.
    """
    if count > 0:
        # A process of its own: Airflow reads its configuration once.
        program = [sys.executable, "-m", "bench.copies", run, str(count), str(first), "yes" if triggers else ""]
        subprocess.run(program, env={**os.environ, **stack.environment()}, stdout=subprocess.DEVNULL, check=True)


def _copy(run: str, count: int, first: int, *, triggers: bool) -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import inspect, text

    with create_session() as session:
        inspector = inspect(session.get_bind())
        # As many ids as there are copies, above all that are there.
        base = session.execute(text("SELECT coalesce(max(id), 0) FROM trigger")).scalar_one() - first + 1
        copied_id = f"CASE WHEN trigger_id IS NULL THEN NULL ELSE {base} + n END"
        new = {
            "trigger": {"id": f"{base} + n", "triggerer_id": "NULL"},
            "dag_run": {"run_id": "run_id || '-' || n"},
            "task_instance": {
                "run_id": "run_id || '-' || n",
                "id": "gen_random_uuid()",
                "trigger_id": copied_id if triggers else "NULL",
            },
        }
        wanted = {
            "trigger": "id IN (SELECT trigger_id FROM task_instance WHERE run_id = :run)",
            "dag_run": "run_id = :run",
            "task_instance": "run_id = :run",
        }
        for table in wanted if triggers else ("dag_run", "task_instance"):
            kept = [c["name"] for c in inspector.get_columns(table) if (table, c["name"]) != ("dag_run", "id")]
            values = ", ".join(new[table].get(name, f'"{name}"') for name in kept)
            quoted = ", ".join(f'"{name}"' for name in kept)
            session.execute(
                text(
                    f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table}"
                    f" CROSS JOIN generate_series(:first, :last) AS n WHERE {wanted[table]}"
                ),
                {"run": run, "first": first, "last": first + count - 1},
            )
        session.execute(
            text("SELECT setval(pg_get_serial_sequence('trigger', 'id'), greatest(max(id), 1)) FROM trigger")
        )
        session.commit()
        session.execute(text("ANALYZE"))


if __name__ == "__main__":
    _copy(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), triggers=bool(sys.argv[4]))
