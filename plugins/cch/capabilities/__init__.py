"""Synchronous capabilities and library functions.

``from cch.capabilities import sync_capability`` registers a function of yours; name its module in
``CCH_CAPABILITY_MODULES`` (or ``[cch] capability_modules``) to have it found. The modules
``calls`` and ``registry`` are for those who call what is registered.
"""

from cch.capabilities.registry import bind_http, bind_lambda, library_function, sync_capability
from cch.interpreter.host import Call

__all__ = [
    "Call",
    "bind_http",
    "bind_lambda",
    "calls",
    "failing",
    "library_calls",
    "library_function",
    "registry",
    "sync_capability",
]

from cch.capabilities import core, library  # noqa: F401 - importing them registers what is ours
