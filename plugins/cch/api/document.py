"""Writes the OpenAPI document: ``python -m cch.api.document``."""

from __future__ import annotations

import json
import sys

from cch.api.app import create_app


def document() -> str:
    """The document as JSON text, the same for the same code."""
    return json.dumps(create_app().openapi(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
