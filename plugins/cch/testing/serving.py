"""How a stand-in for AWS is told where to listen, and says that it does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def asked(description: str) -> argparse.Namespace:
    """``host``, ``port``, and the folder of the Lambda ``functions``, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5566)
    parser.add_argument("--functions", type=Path, default=Path("lambda-functions"))
    return parser.parse_args()


def say_listening(arguments: argparse.Namespace) -> None:
    """Tell whoever has started the process."""
    sys.stdout.write(f"listening on http://{arguments.host}:{arguments.port}\n")
    sys.stdout.flush()
