"""Builds the images of the compose file with buildah, on stand-ins made of Debian's packages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "compose"
#: What the stand-ins need, beyond a minimal Debian.
PACKAGES = (
    "ca-certificates", "curl", "dumb-init", "nodejs", "npm", "postgresql", "python3", "python3-venv", "redis-server",
)  # fmt: skip
#: Stand-in → the name under which Dockerfile and compose file know it.
STAND_INS = {
    "node": "docker.io/library/node:22-slim",
    "postgres": "docker.io/library/postgres:16",
    "redis": "docker.io/library/redis:7.2",
    "airflow": "docker.io/apache/airflow:3.3.1-python3.12",
}


def run(*command: str, **options: str) -> None:
    subprocess.run(command, check=True, **options)  # type: ignore[call-overload]


def debian() -> Path:
    """A tar file of Debian with all packages, made once."""
    archive = WORK / "root.tar"
    if archive.exists():
        return archive
    WORK.mkdir(parents=True, exist_ok=True)
    root = WORK / "root"
    shutil.rmtree(root, ignore_errors=True)
    run("debootstrap", "--variant=minbase", "bookworm", str(root))
    install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends " + " ".join(PACKAGES)
    run("chroot", str(root), "sh", "-c", f"export DEBIAN_FRONTEND=noninteractive; {install} && apt-get clean")
    # The authorities that this machine trusts: a package index may be reached through a proxy.
    shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    run("tar", "-C", str(root), "-cf", str(archive.with_suffix(".part")), "--exclude=./dev/*", ".")
    shutil.rmtree(root)
    return archive.with_suffix(".part").rename(archive)


def bud(file: Path, target: str, tag: str, context: Path = ROOT, *more: str) -> None:
    run(
        "buildah", "bud", "--quiet", "--layers", "--isolation", "chroot", "--format", "docker", "--pull-never",
        "--force-rm", "-f", str(file), "--target", target, "-t", tag, *more, str(context),
    )  # fmt: skip


def stand_ins() -> None:
    """The images that a registry would have."""
    debian()
    context = WORK / "context"
    shutil.rmtree(context, ignore_errors=True)
    for name in ("tests/compose", "requirements"):
        shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
    (context / "root.tar").hardlink_to(WORK / "root.tar")
    for target, tag in STAND_INS.items():
        bud(ROOT / "tests" / "compose" / "standins.Dockerfile", target, tag, context)
