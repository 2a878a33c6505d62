"""Which code stands behind a capability id or a library function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cch.errors import CapabilityNotBoundError, SettingsError
from cch.interpreter.host import Call
from cch.json_settings import json_setting
from cch.settings import ADDRESSES, LAMBDA, QUEUE, Settings


class ObjectReader(Protocol):
    """Reads an object by its S3 URI."""

    def __call__(self, uri: str, /) -> str: ...


CapabilityFunction = Callable[[Call], Any]
LibraryFunction = Callable[..., Any]
_C = TypeVar("_C", bound=CapabilityFunction)
_L = TypeVar("_L", bound=LibraryFunction)


@dataclass(frozen=True, slots=True)
class PythonBinding:
    function: CapabilityFunction


@dataclass(frozen=True, slots=True)
class LambdaBinding:
    """``function`` is a name or ARN; ``{prefix}`` in it stands for ``cch-<env>-<owner>-``."""

    function: str


@dataclass(frozen=True, slots=True)
class HttpBinding:
    url: str


@dataclass(frozen=True, slots=True)
class LibraryBinding:
    """``by_rules``: the function is also told the number of the rules by which the definition is read."""

    function: LibraryFunction
    by_rules: bool = False


Binding = PythonBinding | LambdaBinding | HttpBinding

_capabilities: dict[str, Binding] = {}
_library: dict[str, LibraryBinding] = {}


def sync_capability(capability_id: str) -> Callable[[_C], _C]:
    """Register a function for ``sync_call`` nodes: it gets a :class:`Call` and returns a mapping of outputs.

    It may be ``async``. Whatever it raises takes the node's ``on_failure``.
    """

    def register(function: _C) -> _C:
        _capabilities[capability_id] = PythonBinding(function)
        return function

    return register


def bind_lambda(capability_id: str, function: str) -> None:
    """Let an AWS Lambda function answer a capability."""
    _capabilities[capability_id] = LambdaBinding(function)


def bind_http(capability_id: str, url: str) -> None:
    """Let an HTTP endpoint (POST, JSON) answer a capability."""
    _capabilities[capability_id] = HttpBinding(url)


def library_function(function_id: str, *, by_rules: bool = False) -> Callable[[_L], _L]:
    """Register a function for ``library_call`` nodes; it gets (parameters, context, reader of S3 objects).

    ``by_rules``: and the number of the reading rules, for one whose meaning depends on them.
    """

    def register(function: _L) -> _L:
        _library[function_id] = LibraryBinding(function, by_rules)
        return function

    return register


def load(settings: Settings) -> None:
    """Import the modules that the settings name.

    :raises SettingsError: one of them cannot be imported; says which and why.
    """
    for module in settings.capability_modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            raise SettingsError(f"capability module {module!r} cannot be imported: {error}") from error


def binding(capability_id: str, settings: Settings) -> Binding:
    """What is bound to a capability; the configuration wins over code.

    :raises CapabilityNotBoundError: nothing; names what is.
    """
    configured = json_setting("CCH_CAPABILITY_BINDINGS", settings.capability_bindings).get(capability_id)
    if configured is not None:
        if configured.startswith(LAMBDA):
            return LambdaBinding(configured.removeprefix(LAMBDA))
        if configured.startswith(ADDRESSES):
            return HttpBinding(configured)
        if configured.startswith(QUEUE):
            raise CapabilityNotBoundError(f"{capability_id!r} is bound to a queue: ask it by an async_request")
        raise SettingsError(f"CCH_CAPABILITY_BINDINGS: {configured!r} is no lambda:<function> and no address")
    load(settings)
    try:
        return _capabilities[capability_id]
    except KeyError:
        known = ", ".join(sorted(_capabilities))
        raise CapabilityNotBoundError(
            f"nothing is bound to capability {capability_id!r} (known: {known}): register a function with"
            " @sync_capability and name its module in CCH_CAPABILITY_MODULES, or bind a Lambda function or an address"
            " in CCH_CAPABILITY_BINDINGS"
        ) from None


def find_library(function_id: str, settings: Settings) -> LibraryBinding:
    """:raises CapabilityNotBoundError: no such function; names those there are."""
    load(settings)
    try:
        return _library[function_id]
    except KeyError:
        known = ", ".join(sorted(_library))
        raise CapabilityNotBoundError(f"there is no library function {function_id!r} (known: {known})") from None
