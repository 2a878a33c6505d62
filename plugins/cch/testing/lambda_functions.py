"""Lambda functions of the local stack: each invocation really runs, in a process of its own.

A folder with ``index.mjs`` is a function on Node.js, one with ``handler.py`` a function on Python; one with a
``Dockerfile`` is a container image: the handler that its ``CMD`` names is run, by Python and without the image.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import unquote

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: Seconds that an invocation may take; the deployed functions have the same limit.
TIMEOUT = 30
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_COMMAND = re.compile(r"^CMD (\[.*\])\s*$", re.MULTILINE)

#: Runs ``<file> <function> <file for the answer>`` with the event on stdin; what handlers print is theirs.
_ON_PYTHON = """
import importlib.util, json, sys, traceback
source, function, answer = sys.argv[1:]
try:
    spec = importlib.util.spec_from_file_location("function", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told = {"result": getattr(module, function)(json.load(sys.stdin), None)}
    text = json.dumps(told)
except Exception as error:
    told = {"errorType": type(error).__name__, "errorMessage": str(error), "trace": traceback.format_exc()}
    text = json.dumps(told)
open(answer, "w").write(text)
"""
_ON_NODE = """
const fs = require("node:fs");
const [source, name, answer] = process.argv.slice(1);
const tell = (told) => fs.writeFileSync(answer, JSON.stringify(told));
import(require("node:url").pathToFileURL(source))
  .then((module) => module[name](JSON.parse(fs.readFileSync(0, "utf8"))))
  .then((result) => tell({ result: result ?? null }))
  .catch((error) => tell({ errorType: error.name, errorMessage: error.message, trace: error.stack }));
"""


class Runtime(StrEnum):
    """What a function runs on."""

    PYTHON = "python"
    NODE = "node"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function: its runtime, and its handler as Lambda writes it, ``<file without suffix>.<function>``."""

    folder: Path
    runtime: Runtime
    handler: str

    @classmethod
    def at(cls, folder: Path) -> Function | None:
        """The function in this folder; None: there is none."""
        if (recipe := folder / "Dockerfile").is_file():
            command = json.loads(_COMMAND.findall(recipe.read_text())[-1])
            return cls(folder=folder, runtime=Runtime.IMAGE, handler=command[0])
        if (folder / "index.mjs").is_file():
            return cls(folder=folder, runtime=Runtime.NODE, handler="index.handler")
        if (folder / "handler.py").is_file():
            return cls(folder=folder, runtime=Runtime.PYTHON, handler="handler.handler")
        return None

    def invoke(self, event: bytes) -> tuple[Any, bool]:
        """What it returned and True, or Lambda's description of what went wrong and False."""
        module, function = self.handler.rsplit(".", 1)
        with tempfile.NamedTemporaryFile() as answer:
            command = [*self._interpreter(module), function, answer.name]
            try:
                ended = subprocess.run(  # noqa: S603 - the project's own functions
                    command, input=event, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    timeout=TIMEOUT, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return _failure("Sandbox.Timedout", f"Task timed out after {TIMEOUT:.2f} seconds"), False
            except OSError as error:
                return _failure("Runtime.InvalidEntrypoint", f"{command[0]} cannot be run: {error.strerror}"), False
            text = Path(answer.name).read_text("utf-8")
        if not text:
            said = ended.stderr.decode("utf-8", "replace")[-500:]
            return _failure("Runtime.ExitError", f"ended with status {ended.returncode}: {said}"), False
        told = json.loads(text)
        return (told["result"], True) if "result" in told else (told, False)

    def _interpreter(self, module: str) -> Sequence[str]:
        if self.runtime is Runtime.NODE:
            return which("node") or "node", "-e", _ON_NODE, str(self.folder / f"{module}.mjs")
        return sys.executable, "-c", _ON_PYTHON, str(self.folder / f"{module}.py")


def _failure(kind: str, message: str) -> dict[str, str]:
    return {"errorType": kind, "errorMessage": message}


def _function_name(raw: str) -> str:
    """The folder of a function: its name without the environment's prefix, or an ARN's last part."""
    return re.sub(r"^cch-[^-]+-[^-]+-", "", unquote(raw).rsplit(":function:", 1)[-1].split(":")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What ``Invoke`` answers over HTTP."""

    status: HTTPStatus
    headers: Sequence[tuple[str, str]]
    body: bytes


def invoked_name(path: str) -> str | None:
    """The function that a request to this path invokes, as it is named there; None: it invokes none."""
    match = _INVOKE.fullmatch(path)
    return match[1] if match else None


def invocation(folder: Path, raw_name: str, event: bytes, kind: str) -> Invocation:
    """Run a function of the folder. ``kind``: the header ``X-Amz-Invocation-Type``."""
    name = _function_name(raw_name)
    headers = [("Content-Type", "application/json")]
    function = Function.at(folder / name)
    if function is None:
        message = f"Function not found: {name} (looked in {folder})"
        return Invocation(
            status=HTTPStatus.NOT_FOUND, headers=[*headers, ("x-amzn-ErrorType", "ResourceNotFoundException")],
            body=json.dumps({"Type": "User", "Message": message}).encode(),
        )  # fmt: skip
    if kind == "DryRun":  # may it be called? Nothing is run
        return Invocation(status=HTTPStatus.NO_CONTENT, headers=headers, body=b"")
    answer, good = function.invoke(event or b"{}")
    failed = [] if good else [("X-Amz-Function-Error", "Unhandled")]
    return Invocation(status=HTTPStatus.OK, headers=[*headers, *failed], body=json.dumps(answer).encode())


class LambdaFunctions:
    """Answers ``Invoke``; everything else goes on to the next application."""

    def __init__(self, app: WsgiApp, folder: Path) -> None:
        self._app = app
        self._folder = folder.resolve()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name = invoked_name(environ.get("PATH_INFO", ""))
        if name is None:
            return self._app(environ, start_response)
        event = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = invocation(self._folder, name, event, environ.get("HTTP_X_AMZ_INVOCATION_TYPE", ""))
        start_response(f"{answer.status} {answer.status.phrase}", list(answer.headers))
        return [answer.body] if answer.body else []
