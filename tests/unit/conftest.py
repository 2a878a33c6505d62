"""What the unit tests share: modules beside this file are importable, and Hypothesis is reproducible."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

settings.register_profile("cch", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("cch")
