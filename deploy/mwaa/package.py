"""``make mwaa-package``: what Amazon MWAA wants, in ``build/mwaa``.

``plugins.zip`` and ``requirements.txt`` twice: an environment either has a way to the package index (``online``) or has
not (``offline``). For both: ``dags/`` and the configuration options, as MWAA's API takes them and with the reasons.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "mwaa"
PINS = ROOT / "requirements" / "mwaa-3.3.1.txt"
#: Where MWAA unpacks plugins.zip.
PLUGINS = "/usr/local/airflow/plugins"
#: The image's Python and platform.
PYTHON, PLATFORM = "3.12", "manylinux_2_28"


def run(*command: str) -> str:
    """Output of a program that must succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def needed(source: Path) -> set[str]:
    """Pins of everything that the requirements in a file need, on the image."""
    uv = str(Path(sys.executable).with_name("uv"))
    pins = run(
        uv, "pip", "compile", "--quiet", "--system-certs", "--no-python-downloads", "--no-header", "--no-annotate",
        "--no-emit-index-url", "--python-version", PYTHON, "--python-platform", f"x86_64-{PLATFORM}",
        "-c", str(PINS), "-c", str(ROOT / "requirements" / "constraints.txt"), str(source),
    )  # fmt: skip
    return {line for line in pins.splitlines() if "==" in line}


def missing() -> list[str]:
    """Pins of what the package needs and the image does not have."""
    return sorted(needed(ROOT / "pyproject.toml") - needed(ROOT / "requirements" / "mwaa-image.in"))


def fetch(pins: Iterable[str], folder: Path) -> None:
    """Download wheels for the image's Python, whatever this one is."""
    run(
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder),
        "--python-version", PYTHON, "--implementation", "cp", "--platform", f"{PLATFORM}_x86_64",
        "--platform", "manylinux2014_x86_64", *pins,
    )  # fmt: skip


def pack(archive: Path, files: Iterable[Path]) -> None:
    """Write a zip whose bytes depend on nothing but the files."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(files):
            packed.writestr(zipfile.ZipInfo(file.name), file.read_bytes())


def variant(name: str, wheels: Iterable[Path], lines: Iterable[str]) -> None:
    folder = OUT / name
    folder.mkdir()
    pack(folder / "plugins.zip", wheels)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))


def configuration() -> None:
    """The options as a map for MWAA's API and ``aws mwaa --airflow-configuration-options``, and as a table."""
    given = {f"cch.{name}": os.environ.get(f"CCH_{name.upper()}") for name in ("env", "owner")}
    options = json.loads((Path(__file__).parent / "configuration.json").read_text())
    values = {name: given.get(name) or option["value"] for name, option in options.items()}
    (OUT / "configuration-options.json").write_text(json.dumps(values, indent=2) + "\n")
    rows = (f"| `{name}` | {values[name]} | {option['why']} |\n" for name, option in options.items())
    (OUT / "configuration-options.md").write_text("| option | value | why |\n|---|---|---|\n" + "".join(rows))


def main(wheel: Path) -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    pins = missing()
    variant("online", [wheel], [f"{PLUGINS}/{wheel.name}", *pins])
    with tempfile.TemporaryDirectory() as folder:
        fetch(pins, Path(folder))
        version = wheel.name.split("-")[1]
        lines = ["--no-index", f"--find-links {PLUGINS}", f"cch-airflow=={version}", *pins]
        variant("offline", [wheel, *Path(folder).iterdir()], lines)
    shutil.copytree(ROOT / "dags", OUT / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    configuration()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
