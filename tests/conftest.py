"""How the tests are shared out between pytest's workers."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests that need the stack go to one worker: it is started once, beside the tests that need none.

    (xdist's own groups change the ids of tests, which pytest 9 no longer lets it do.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class StackApart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "stack" if nodeid.startswith("tests/e2e/") else nodeid

    return StackApart(config, log)
