"""Contracts where definitions are kept: each by its digest for ever, and the newest one of each capability."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cch.definition.contract import Contract, by_id
from cch.definition.contract_pins import CONTRACTS_BY_DIGEST, NEWEST_CONTRACTS
from cch.definition.contract_reader import kept_contract
from cch.definition.entries import safe_name
from cch.definition.files import read_file, read_json, try_to_write_file
from cch.definition.model import Definition
from cch.definition.reader import digest_of
from cch.definition.source import DefinitionSource, NotModified
from cch.errors import DefinitionNotFoundError, ServiceUnavailableError

log = logging.getLogger(__name__)


def _kept_at(digest: str) -> str:
    return f"{CONTRACTS_BY_DIGEST}{digest}.yaml"


def _text_at(source: DefinitionSource, name: str) -> str:
    answer = source.read(name)
    assert not isinstance(answer, NotModified)
    return answer.text


class ContractShelf:
    """The contracts of a source, read through the cache folder. ``refresh_seconds``: how long a listing is trusted."""

    def __init__(
        self,
        source: DefinitionSource,
        cache: Path,
        refresh_seconds: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._cache = cache / "contracts"
        self._refresh = refresh_seconds
        self._clock = clock
        self._newest: tuple[float, Mapping[str, Contract]] | None = None

    def held(self, definition: Definition) -> Definition:
        """The definition with the contracts that it was published with.

        One that somebody has removed holds nobody to anything: an instance that runs must not fail for that.

        :raises ServiceUnavailableError: the source does not answer, and the cache does not have one of them.
        """
        found = {}
        for capability, digest in definition.pins.items():
            contract = self.kept(digest)
            if contract is None or contract.id != capability:
                log.warning("a contract is missing", extra={"cch_capability": capability, "cch_digest": digest})
            else:
                found[capability] = contract
        return definition.held_to(found)

    def kept(self, digest: str) -> Contract | None:
        """The contract with this digest; None if nobody has it, or this release cannot read it.

        :raises ServiceUnavailableError: the source does not answer, and the cache does not have it.
        """
        path = self._cache / digest
        text = read_file(path)
        if text is None or digest_of(text) != digest:
            try:
                text = _text_at(self._source, _kept_at(digest))
            except DefinitionNotFoundError:
                return None
            if digest_of(text) != digest:
                return None
            try_to_write_file(path, text)
        return kept_contract(text)

    def newest(self) -> Mapping[str, Contract]:
        """The newest contract of each capability, from the cache where the source does not answer.

        :raises ServiceUnavailableError: the source does not answer, and there is no cache.
        """
        if self._newest is not None and 0 <= self._clock() - self._newest[0] < self._refresh:
            return self._newest[1]
        cached = self._cache / "newest.json"
        try:
            texts = [_text_at(self._source, name) for name in self._source.names(NEWEST_CONTRACTS)]
            try_to_write_file(cached, json.dumps({"texts": texts}))
        except DefinitionNotFoundError:  # removed after it was listed
            return self._newest[1] if self._newest is not None else {}
        except ServiceUnavailableError:
            known = read_json(cached, "texts")
            if known is None:
                raise
            texts = known["texts"]
        found = by_id([contract for text in texts if (contract := kept_contract(text)) is not None])
        self._newest = self._clock(), found
        return found

    def keep(self, contracts: Iterable[Contract]) -> None:
        """Keep contracts under their digests, before a definition names them; what is kept is not written again."""
        for contract in contracts:
            name = _kept_at(contract.digest)
            try:
                self._source.read(name)
            except DefinitionNotFoundError:
                self._source.write(name, contract.text)

    def publish(self, contracts: Iterable[Contract]) -> None:
        """Make kept contracts the newest of their capabilities."""
        for contract in contracts:
            self._source.write(f"{NEWEST_CONTRACTS}{safe_name(contract.id)}.yaml", contract.text)
        self._newest = None
