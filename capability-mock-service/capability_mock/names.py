"""The names of the resources that the mock touches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Resources are called `cch-<env>-<owner>-<resource>`."""

    #: `CCH_ENV`, default `dev`.
    env: str = "dev"
    #: `CCH_OWNER`, default `local`.
    owner: str = "local"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Names:
        """An empty variable counts as absent."""
        return cls(env=environ.get("CCH_ENV") or "dev", owner=environ.get("CCH_OWNER") or "local")

    @property
    def request_queue_prefix(self) -> str:
        return f"cch-{self.env}-{self.owner}-capability-"

    @property
    def eventdata_bucket(self) -> str:
        return f"cch-{self.env}-{self.owner}-eventdata-bucket"

    def is_request_queue(self, queue_name: str) -> bool:
        """True for `…capability-<service>-request-queue`; a dead-letter queue (`…-dlq`) is none."""
        return queue_name.startswith(self.request_queue_prefix) and queue_name.endswith("-request-queue")
