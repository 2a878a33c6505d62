"""What the resources have in common with the program: the names and the table's form, taken from the program itself."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

from cch.aws.provision import SAMPLE_CAPABILITIES  # noqa: E402
from cch.aws.tables import table_specification  # noqa: E402
from cch.names import Names  # noqa: E402

__all__ = ["ROOT", "SAMPLE_CAPABILITIES", "Names", "table_specification"]
