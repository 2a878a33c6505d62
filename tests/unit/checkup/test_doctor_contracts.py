"""What `cch doctor` says of contracts."""

from __future__ import annotations

from pathlib import Path

import pytest
from workflows import definition_text

from cch.checkup.contracts import look_at_contracts
from cch.checkup.findings import Findings
from cch.definition.contract_pins import CONTRACTS_BY_DIGEST
from cch.definition.contract_reader import read_contract
from cch.definition.contract_shelf import ContractShelf
from cch.definition.reader import read_definition
from cch.definition.source import FolderSource

TEXT = definition_text("A: {type: async_request, capability_id: 'a#b', on_response: B}\nB: {type: end}")


def published(text: str):
    contract, _ = read_contract(text)
    assert contract is not None
    return contract


OLD, NEW = published("id: a#b\ntitle: A\n"), published("id: a#b\ntitle: Another\n")


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    return FolderSource(tmp_path / "source")


def said(source: FolderSource, tmp_path: Path, text: str) -> list[tuple[str, str, str]]:
    found = Findings()
    look_at_contracts(ContractShelf(source, tmp_path / "cache", 0.0), [read_definition(text)], found)
    return [(each.level, each.area, each.what) for each in found.all]


def shelf(source: FolderSource, tmp_path: Path) -> ContractShelf:
    return ContractShelf(source, tmp_path / "own", 0.0)


def test_a_definition_that_is_held_to_the_newest_contract_is_in_order(source: FolderSource, tmp_path: Path) -> None:
    """One line says how many contracts there are."""
    shelf(source, tmp_path).keep([OLD])
    shelf(source, tmp_path).publish([OLD])
    text = read_definition(TEXT).held_to({"a#b": OLD}).pinned().text

    assert said(source, tmp_path, text) == [("ok", "contracts", "1 contract (enforce: warn 1)")]


def test_older_missing_and_unpinned_contracts_are_told(source: FolderSource, tmp_path: Path) -> None:
    """With the definition that has to be published again."""
    shelf(source, tmp_path).keep([OLD, NEW])
    shelf(source, tmp_path).publish([NEW])
    text = read_definition(TEXT).held_to({"a#b": OLD}).pinned().text

    older, unpinned = said(source, tmp_path, text), said(source, tmp_path, TEXT)
    (tmp_path / "source" / f"{CONTRACTS_BY_DIGEST}{OLD.digest}.yaml").unlink()
    (tmp_path / "cache" / "contracts" / OLD.digest).unlink()
    gone = said(source, tmp_path, text)

    assert ("note", "definition w", "a#b has a newer contract") in older
    assert ("note", "definition w", "it is not held to the contract of a#b") in unpinned
    assert [each for each in gone if each[0] == "warning"] == [
        ("warning", "definition w", f"the contract {OLD.digest[:12]} of a#b is gone, so nobody checks its messages")
    ]
