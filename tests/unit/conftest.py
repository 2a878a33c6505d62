"""What the unit tests share: modules beside this file are importable, and Hypothesis is reproducible."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import Phase, settings

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

settings.register_profile(
    "cch", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate, Phase.shrink)
)
settings.load_profile("cch")
