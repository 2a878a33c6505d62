"""What the commands ``cch contract …`` do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from cch.cli.asyncapi import asyncapi
from cch.cli.output import complain, note, print_json, problem_data, say, show, show_problems, table
from cch.cli.reading import STDIN, contracts_beside
from cch.counting import counted
from cch.definition.contract import Contract
from cch.definition.contract_reader import Contracts
from cch.definition.document import read_document
from cch.envelope import parse_command
from cch.errors import DefinitionError, MalformedMessageError, WrongUseError

_PREFIX = "Capability:"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One recorded message: where it stands, whose it is, and how it breaks the contract."""

    file: str
    number: int
    capability: str
    faults: Sequence[str]


class _NoMessageError(Exception):
    """A record of a file is no message."""


def _contracts(folder: Path) -> Contracts:
    if not folder.exists():
        raise WrongUseError(f"{folder} does not exist")
    found = contracts_beside([folder])
    if not found.texts and not found.problems:
        raise WrongUseError(f"there is no contract (*.yaml) in {folder}/capabilities")
    return found


def _good(folder: Path) -> Mapping[str, Contract]:
    """:raises DefinitionError: a contract has an error."""
    found = _contracts(folder)
    if wrong := [problem for problem in found.problems if problem.severity == "error"]:
        raise DefinitionError(wrong)
    return dict(sorted(found.by_id.items()))


def show_all(folder: Path, *, as_json: bool) -> None:
    """Show the contracts of a folder."""
    contracts = _good(folder)
    if as_json:
        print_json([_data(each) for each in contracts.values()])
        return

    def row(each: Contract) -> tuple[str, ...]:
        times = "/".join("-" if seconds is None else f"{seconds:g} s" for seconds in (each.usual, each.longest))
        return each.id, each.title, each.owner, each.enforce, times, ", ".join(each.errors or ()), each.digest[:12]

    heads = ("capability", "title", "owner", "enforce", "usual/longest", "errors", "digest")
    show(table("contracts", heads, [row(each) for each in contracts.values()]))


def _data(contract: Contract) -> dict[str, Any]:
    return {
        "id": contract.id,
        "title": contract.title,
        "owner": contract.owner,
        "enforce": contract.enforce,
        "usual_seconds": contract.usual,
        "longest_seconds": contract.longest,
        "errors": contract.errors,
        "idempotency": contract.idempotency or None,
        "examples": len(contract.examples),
        "file": contract.file,
        "digest": contract.digest,
    }


def export(folder: Path, capabilities: Sequence[str], output: Path | None, *, as_json: bool) -> None:
    """Write the contracts of a folder as an AsyncAPI document."""
    contracts = _good(folder)
    if unknown := [each for each in capabilities if each not in contracts]:
        raise WrongUseError(f"there is no contract of {unknown[0]!r}: there are {', '.join(contracts)}")
    chosen = {key: each for key, each in contracts.items() if not capabilities or key in capabilities}
    document = asyncapi(chosen)
    if as_json or (output is not None and output.suffix == ".json"):
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, "utf-8")
        note(f"{counted(len(chosen), 'contract is', 'contracts are')} in {output}")


def check(folder: Path, replies: Sequence[Path], requests: Sequence[Path], *, as_json: bool) -> None:
    """Check contracts and recorded messages; leave with 1 if anything is wrong."""
    found = _contracts(folder)
    judged = [each for file in replies for each in _judged(file, found.by_id, _reply_faults)]
    judged += [each for file in requests for each in _judged(file, found.by_id, _request_faults)]
    broken = [each for each in judged if each.faults]
    ok = not broken and not any(problem.severity == "error" for problem in found.problems)
    if as_json:
        print_json({
            "ok": ok,
            "contracts": sorted(found.by_id),
            "problems": [problem_data(problem) for problem in found.problems],
            "messages": len(judged),
            "broken": [
                {"file": e.file, "message": e.number, "capability": e.capability, "faults": list(e.faults)}
                for e in broken
            ],
        })  # fmt: skip
    else:
        show_problems(found.problems, found.texts)
        for each in broken:
            for fault in each.faults:
                complain(f"{each.file}: message {each.number} ({each.capability or 'no capability'}): {fault}")
        messages = f"messages {len(judged)}, broken {len(broken)}"
        say(f"{'good' if ok else 'not good'}: contracts {len(found.by_id)}, {messages}")
    if not ok:
        raise typer.Exit(1)


def _judged(file: Path, contracts: Mapping[str, Contract], faults_of: Any) -> Iterator[_Judged]:
    for number, record in enumerate(_records(file), 1):
        capability = ""
        try:
            capability = _capability(record, contracts)
            known = contracts.get(capability)
            faults = [f"there is no contract of {capability!r}"] if known is None else faults_of(known, record)
        except (_NoMessageError, MalformedMessageError) as error:
            faults = [str(error)]
        yield _Judged(file=str(file), number=number, capability=capability, faults=faults)


def _records(file: Path) -> list[Any]:
    """The values in a file: a list, one value, or one value in each line.

    :raises WrongUseError: the file cannot be read, or is none of these.
    """
    try:
        text = sys.stdin.read() if str(file) == STDIN else file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(f"{file} cannot be read: {error}") from None
    try:
        value = json.loads(text)
    except ValueError:
        value = _lines(text) or _yaml(text, file)
    return value if isinstance(value, list) else [value]


def _lines(text: str) -> list[Any] | None:
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return None


def _yaml(text: str, file: Path) -> Any:
    try:
        # A list at the top is put under a key, because a document is a mapping.
        is_list = text.lstrip().startswith(("-", "["))
        return read_document(f"messages:\n{text}").data["messages"] if is_list else read_document(text).data
    except DefinitionError as error:
        raise WrongUseError(f"{file} is neither JSON, JSON Lines nor YAML: {error.problems[0].message}") from None


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _NoMessageError(f"{what} is missing or no mapping")
    return value


def _capability(record: Any, contracts: Mapping[str, Contract]) -> str:
    """The capability that a message is of; the only one that there is, if the message does not say."""
    message = _mapping(record, "the message")
    command, body = message.get("command"), message.get("body")
    named = message.get("capability") or message.get("capability_id")
    if isinstance(command, Mapping):
        named = str(command.get("source", "")).removeprefix(_PREFIX)
    elif isinstance(body, Mapping):
        named = body.get("capability_id")
    if not named and len(contracts) == 1:
        return next(iter(contracts))
    if not isinstance(named, str) or not named:
        raise _NoMessageError("the message names no capability: add the key capability")
    return named


def _reply_faults(contract: Contract, record: Mapping[str, Any]) -> list[str]:
    asked = record.get("request_output_keys") or ()
    if isinstance(record.get("command"), Mapping):
        command = parse_command(
            json.dumps({key: value for key, value in record.items() if key != "request_output_keys"})
        )
        if command.kind != "ASYNC_RESP":
            raise _NoMessageError(f"a message of type {command.kind} is no reply")
        return contract.reply_faults(command.status or "SUCCESS", command.payload, asked)
    status = record.get("status", "SUCCESS")
    if status not in ("SUCCESS", "ERROR"):
        raise _NoMessageError(f"the status is {status!r}, neither SUCCESS nor ERROR")
    return contract.reply_faults(status, _mapping(record.get("payload", {}), "payload"), asked)


def _request_faults(contract: Contract, record: Mapping[str, Any]) -> list[str]:
    where = record["body"] if isinstance(record.get("body"), Mapping) else record
    return contract.request_faults(_mapping(where.get("context"), "context"))
