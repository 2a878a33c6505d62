"""The capability mock as AWS Lambda wants it: a folder with the program and what it needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import uv

from cch_infra.shared import ROOT

#: What `uv` leaves beside the program: paths and times of this machine, which would make every package look new.
NOT_PACKED = ("*.dist-info", "**/__pycache__", "bin", ".lock")


def pack_mock(folder: Path = ROOT / "build" / "mock-lambda") -> Path:
    """Install the mock and PyYAML into ``folder``, made anew; Lambda itself brings boto3.

    :raises subprocess.CalledProcessError: the package index does not answer.
    """
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(folder), "--system-certs",
        "--python-version", "3.12", "--python-platform", "aarch64-manylinux2014", "--link-mode", "copy",
        "-c", str(ROOT / "infra" / "constraints.txt"), str(ROOT / "capability-mock-service"), "PyYAML",
    ]  # fmt: skip
    subprocess.run(command, check=True)  # noqa: S603 - our own arguments
    return folder
