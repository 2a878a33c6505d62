"""Copies of the rows of a run that waits, in Airflow's database: thousands of waiting runs in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from cch.stack.local import LocalStack


#: none: only the scheduler sees the copies. ours: a triggerer takes them for tasks that begin there. airflow: their
#: triggers are Airflow's own, for a date that never comes.
Triggers = Literal["none", "ours", "airflow"]
_AIRFLOW_S = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"


def copy_run(stack: LocalStack, run: str, count: int, first: int, triggers: Triggers) -> None:
    """Make ``count`` copies of a run and its tasks; their run ids are ``<run>-<first>`` and so on."""
    if count > 0:
        # A process of its own: Airflow reads its configuration once.
        program = [sys.executable, "-m", "bench.copies", run, str(count), str(first), triggers]
        subprocess.run(program, env={**os.environ, **stack.environment()}, stdout=subprocess.DEVNULL, check=True)


def _copy(run: str, count: int, first: int, triggers: Triggers) -> None:
    from airflow.models.trigger import Trigger
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
                "trigger_id": "NULL" if triggers == "none" else copied_id,
            },
        }
        if triggers == "airflow":
            new["trigger"] |= {"classpath": f"'{_AIRFLOW_S}'", "kwargs": ":kwargs"}
        never = Trigger.encrypt_kwargs({"moment": datetime(2999, 1, 1, tzinfo=UTC)})
        wanted = {
            "trigger": "id IN (SELECT trigger_id FROM task_instance WHERE run_id = :run)",
            "dag_run": "run_id = :run",
            "task_instance": "run_id = :run",
        }
        for table in ("dag_run", "task_instance") if triggers == "none" else wanted:
            kept = [c["name"] for c in inspector.get_columns(table) if (table, c["name"]) != ("dag_run", "id")]
            values = ", ".join(new[table].get(name, f'"{name}"') for name in kept)
            quoted = ", ".join(f'"{name}"' for name in kept)
            session.execute(
                text(
                    f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table}"
                    f" CROSS JOIN generate_series(:first, :last) AS n WHERE {wanted[table]}"
                ),
                {"run": run, "first": first, "last": first + count - 1, "kwargs": never},
            )
        session.execute(
            text("SELECT setval(pg_get_serial_sequence('trigger', 'id'), greatest(max(id), 1)) FROM trigger")
        )
        session.commit()
        session.execute(text("ANALYZE"))


if __name__ == "__main__":
    _copy(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), cast("Triggers", sys.argv[4]))
