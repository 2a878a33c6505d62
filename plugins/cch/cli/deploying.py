"""``cch dag-files``: the DAG files for an Airflow into which the package has been installed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

#: The repository's ``dags/``; in the package as files of its own.
DAG_FILES = Path(__file__).resolve().parents[1] / "dag_files"


def dag_files(folder: Annotated[Path, typer.Argument(help="Airflow's dags folder, or a folder in it.")]) -> None:
    """Write the two DAG files: all published workflows, and the command dispatcher.

    What they do is in the package; write them again after an upgrade.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(DAG_FILES.glob("*.py")):
        shutil.copyfile(source, folder / source.name)
        typer.echo(str(folder / source.name))


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(dag_files)
