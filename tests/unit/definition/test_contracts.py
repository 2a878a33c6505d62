"""Contracts of capabilities: how they are read, what they refuse, what is answered by them, and where they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflows import definition_text

from cch.definition.contract import Contract
from cch.definition.contract_pins import CONTRACTS_BY_DIGEST, NEWEST_CONTRACTS, pins_of, with_pins, without_pins
from cch.definition.contract_reader import kept_contract, read_contract, read_contracts
from cch.definition.contract_shelf import ContractShelf
from cch.definition.document import read_document
from cch.definition.reader import digest_of, read_definition
from cch.definition.samples import sample
from cch.definition.source import FolderSource
from cch.errors import ServiceUnavailableError

SCREENING = """\
id: screening#party
title: Screen a party
owner: screening
enforce: fail
request: {type: object, required: [party], properties: {party: {type: object}}}
replies:
  SUCCESS:
    type: object
    required: [verdict, score]
    properties: {verdict: {enum: [CLEAR, HELD]}, score: {type: integer, minimum: 3}}
  ERROR: {type: object, required: [messages]}
errors: {BUSY: Another attempt may succeed.}
answers: {usual: 90s, longest: PT2H}
idempotency: attempt
examples:
  - {title: Listed, request: {party: {name: EVIL}}, reply: {payload: {verdict: HELD, score: 97}}}
  - {request: {party: {name: DOWN}}, reply: {status: ERROR, payload: {messages: [{code: BUSY}]}}}
  - {reply: {payload: {verdict: CLEAR, score: 4}}}
"""
REFUSED = "examples: [{reply: {status: ERROR, payload: {messages: [{code: X}]}}}]\n"
PINS = {"a#b": "0" * 64, "screening#party": "f" * 64}


def good(text: str) -> Contract:
    contract, problems = read_contract(text, "capabilities/c.yaml")
    assert contract is not None, problems
    return contract


def test_a_contract_is_read_with_its_times_in_seconds() -> None:
    """What it leaves out is not described."""
    contract = good(SCREENING)
    least = good("id: a\ntitle: A\n")

    assert (contract.id, contract.enforce, contract.usual, contract.longest) == ("screening#party", "fail", 90, 7200)
    assert contract.errors == {"BUSY": "Another attempt may succeed."}
    assert contract.digest == digest_of(SCREENING)
    assert (least.enforce, least.request, least.replies, least.errors, least.idempotency) == (
        "warn",
        None,
        {},
        None,
        "",
    )


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("[a]", "CCH-D001", (1, 1)),
        ("id: a\ntitle: A\nid: b\n", "CCH-D002", (3, 1)),
        ("title: A\n", "CCH-D022", (1, 1)),
        ("id: a\ntitle: A\nreplys: {}\n", "CCH-D021", (3, 1)),
        ("id: a\ntitle: A\nqueue: q\n", "CCH-D021", (3, 1)),
        ("id: a\ntitle: A\nurl: https://example.org\n", "CCH-D021", (3, 1)),
        ("id: a\ntitle: A\nenforce: always\n", "CCH-D023", (3, 1)),
        ("id: a\ntitle: A\nreplies: {OK: {}}\n", "CCH-D021", (3, 11)),
        ("id: a\ntitle: A\nerrors: [BUSY]\n", "CCH-D024", (3, 1)),
        ("id: a\ntitle: A\nrequest: {type: objekt}\n", "CCH-D027", (3, 11)),
        ("id: a\ntitle: A\nreplies: {SUCCESS: {properites: {}}}\n", "CCH-D027", (3, 21)),
        ("id: a\ntitle: A\nrequest: {$ref: 'https://example.org/s.json'}\n", "CCH-D027", (3, 1)),
        ("id: a\ntitle: A\nrequest: {pattern: '^(?=a)'}\n", "CCH-K005", (3, 11)),
        ("id: a\ntitle: A\nanswers: {usual: soon}\n", "CCH-K003", (3, 11)),
        ("id: a\ntitle: A\nanswers: {usual: 2h, longest: 1h}\n", "CCH-K003", (3, 11)),
        ("id: a\ntitle: A\nrequest: {required: [x]}\nexamples: [{request: {}, reply: {}}]\n", "CCH-K001", (4, 13)),
        (f"id: a\ntitle: A\nerrors: {{}}\n{REFUSED}", "CCH-K001", (4, 13)),
        ("id: a\ntitle: A\nreplies: {SUCCESS: {required: [x]}}\n", "CCH-K004", (3, 11)),
        ("id: a\ntitle: A\nexamples: [{request: {}}]\n", "CCH-D022", (3, 12)),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_contract_has_its_place(text: str, code: str, place: tuple[int, int]) -> None:
    """Line and column of the mistake, as in definitions."""
    _, problems = read_contract(text, "c.yaml")

    assert (code, *place) in [(p.code, p.line, p.column) for p in problems], [str(problem) for problem in problems]


def test_the_second_contract_of_a_capability_is_a_problem() -> None:
    """The first one counts, and the message names its file."""
    found = read_contracts([("a.yaml", SCREENING), ("b.yaml", SCREENING.replace("fail", "warn"))])

    assert found.by_id["screening#party"].enforce == "fail"
    assert [(p.code, p.file, p.line) for p in found.problems] == [("CCH-K002", "b.yaml", 1)]
    assert "a.yaml" in found.problems[0].message


@pytest.mark.parametrize(
    ("status", "payload", "asked", "said"),
    [
        ("SUCCESS", {"verdict": "CLEAR", "score": 3}, (), ""),
        ("SUCCESS", {"verdict": "CLEAR"}, (), "'score' is a required property"),
        ("SUCCESS", {"verdict": "CLEAR"}, ("verdict",), ""),
        ("SUCCESS", {"score": 3}, ("verdict",), "'verdict' is a required property"),
        ("SUCCESS", {"verdict": "clear", "score": 3}, (), "verdict: 'clear' is not one of"),
        ("SUCCESS", {"verdict": "HELD", "score": 2}, ("verdict",), "score: 2 is less than"),
        ("ERROR", {}, (), "'messages' is a required property"),
        ("ERROR", {"messages": [{"code": "BUSY"}]}, (), ""),
        ("ERROR", {"messages": [{"code": "GONE"}]}, (), "the code 'GONE'"),
        ("ERROR", {"messages": "none"}, (), ""),
    ],
)
def test_a_reply_keeps_the_contract_or_not(status: str, payload: dict[str, Any], asked: Any, said: str) -> None:
    """A key that was not asked for may be left out; what comes has to fit."""
    faults = good(SCREENING).reply_faults(status, payload, asked)

    assert bool(faults) == bool(said)
    assert said in "; ".join(faults)


def test_a_pattern_that_backtracks_elsewhere_takes_no_time() -> None:
    """Replies are checked where thousands wait, and their texts come from strangers."""
    contract = good("id: a\ntitle: A\nreplies: {SUCCESS: {properties: {t: {type: string, pattern: '^(a+)+$'}}}}\n")

    assert contract.reply_faults("SUCCESS", {"t": "a" * 50_000 + "!"})


def test_an_answer_is_the_example_that_fits_else_the_first_success_else_what_the_schema_describes() -> None:
    """Of a SUCCESS come the keys that were asked for, if any were."""
    contract = good(SCREENING)
    plain = good(SCREENING[: SCREENING.index("examples")])

    assert contract.answer({"party": {"name": "EVIL", "role": "SHIPPER"}}, ()) == (
        "SUCCESS",
        {"verdict": "HELD", "score": 97},
    )
    assert contract.answer({"party": {"name": "DOWN"}}, ("verdict",)) == ("ERROR", {"messages": [{"code": "BUSY"}]})
    assert contract.answer({}, ("score", "other")) == ("SUCCESS", {"score": 4})
    assert plain.answer({}, ()) == ("SUCCESS", {"verdict": "CLEAR", "score": 3})
    assert plain.error() == {
        "messages": [{"level": "ERROR", "code": "BUSY", "summary": "Another attempt may succeed."}]
    }


def test_a_schema_that_describes_itself_has_a_sample() -> None:
    """It ends at some depth."""
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}}

    assert isinstance(sample(schema), dict)


# --- pins -------------------------------------------------------------------------------------------------------------


@given(st.text(), st.dictionaries(st.text(), st.text("0123456789abcdef", min_size=64, max_size=64)))
def test_the_pins_of_a_text_are_those_that_it_was_given(text: str, pins: dict[str, str]) -> None:
    """And taking them away gives the text as it was."""
    plain = without_pins(text)
    pinned = with_pins(text, pins)

    assert pins_of(pinned) == pins
    assert without_pins(pinned) == plain
    assert with_pins(pinned, pins) == pinned


def test_a_text_without_contracts_stays_as_it_is() -> None:
    """So versions that were published before keep their digests."""
    definition = read_definition(definition_text("A: {type: end}"))

    assert definition.pinned() == definition
    assert definition.pins == {}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: |\n  text\n",
        "a: 1\nb: |+\n  text\n\n",
        "a: 1\nb: |\n  text",
        "{a: 1}",
        "%YAML 1.2\n---\na: 1\n...\n",
        "\N{ZERO WIDTH NO-BREAK SPACE}a: 1",
        "  a: 1\n  b: >\n    text\n",
    ],
)
def test_pins_change_nothing_of_what_a_text_means(text: str) -> None:
    """They are a comment, where no value can take it in."""
    before, after = read_document(text), read_document(with_pins(text, PINS))

    assert after.data == before.data
    assert after.problems == before.problems


# --- where they are kept ----------------------------------------------------------------------------------------------


class Flaky(FolderSource):
    """A folder that is sometimes away; ``writes`` until then."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.down = False
        self.writes: list[str] = []

    def names(self, prefix: str) -> tuple[str, ...]:
        self._ask()
        return super().names(prefix)

    def read(self, name: str, known_stamp: str = "") -> Any:
        self._ask()
        return super().read(name, known_stamp)

    def write(self, name: str, text: str) -> None:
        self._ask()
        self.writes.append(name)
        super().write(name, text)

    def _ask(self) -> None:
        if self.down:
            raise ServiceUnavailableError("away")


@pytest.fixture
def source(tmp_path: Path) -> Flaky:
    return Flaky(tmp_path / "source")


def shelf_of(source: Flaky, tmp_path: Path, cache: str = "cache") -> ContractShelf:
    return ContractShelf(source, tmp_path / cache, 0.0)


def held(text: str, contract: Contract) -> Any:
    return read_definition(text).held_to({contract.id: contract}).pinned()


ASKING = definition_text('A: {type: async_request, capability_id: "screening#party", on_response: B}\nB: {type: end}')


def test_an_instance_keeps_the_contract_with_which_its_version_was_published(source: Flaky, tmp_path: Path) -> None:
    """Another publisher's newer contract is for later versions; a cache elsewhere reads the kept one."""
    old, new = good(SCREENING), good(SCREENING.replace("CLEAR, HELD", "CLEAR, HELD, GONE"))
    shelf = shelf_of(source, tmp_path)
    shelf.keep([old])
    shelf.publish([old])
    version = held(ASKING, old)
    shelf_of(source, tmp_path, "other").keep([new])
    shelf_of(source, tmp_path, "other").publish([new])

    there = shelf_of(source, tmp_path, "third").held(read_definition(version.text))

    assert there.contracts["screening#party"] == kept_contract(SCREENING)
    assert shelf.newest()["screening#party"].digest == new.digest
    assert version.digest != held(ASKING, new).digest != read_definition(ASKING).digest


def test_what_is_kept_is_not_written_again(source: Flaky, tmp_path: Path) -> None:
    """Two publishers of one contract write the same object."""
    contract = good(SCREENING)

    for _ in range(2):
        shelf_of(source, tmp_path).keep([contract])

    assert source.writes == [f"{CONTRACTS_BY_DIGEST}{contract.digest}.yaml"]


def test_a_source_that_is_away_is_told_and_the_cache_is_used(source: Flaky, tmp_path: Path) -> None:
    """An instance waits for a contract that it needs and nobody has yet, and goes on with one that is cached."""
    contract = good(SCREENING)
    shelf = shelf_of(source, tmp_path)
    shelf.keep([contract])
    shelf.publish([contract])
    shelf.newest()
    shelf.kept(contract.digest)
    source.down = True

    assert shelf.kept(contract.digest) is not None
    assert "screening#party" in shelf_of(source, tmp_path).newest()
    with pytest.raises(ServiceUnavailableError):
        shelf_of(source, tmp_path, "empty").held(held(ASKING, contract))
    with pytest.raises(ServiceUnavailableError):
        shelf_of(source, tmp_path, "empty").newest()


def test_a_contract_that_is_lost_or_damaged_holds_nobody(source: Flaky, tmp_path: Path) -> None:
    """An instance that runs does not fail because somebody has removed an object."""
    contract = good(SCREENING)
    version = held(ASKING, contract)
    shelf = shelf_of(source, tmp_path)

    assert shelf.held(version).contracts == {}
    source.write(f"{CONTRACTS_BY_DIGEST}{contract.digest}.yaml", "id: other\n")
    source.write(f"{NEWEST_CONTRACTS}broken.yaml", "id: [")
    assert shelf.held(read_definition(version.text)).contracts == {}
    assert shelf.newest() == {}


def test_the_contract_of_the_documentation_is_good() -> None:
    """As it stands on the page."""
    page = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]

    assert read_contract(text)[1] == ()
