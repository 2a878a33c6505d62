"""Of what the local stack consists: which database, which executor, how many of each process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from cch.errors import SettingsError

Database = Literal["sqlite", "postgresql"]
Executor = Literal["LocalExecutor", "CeleryExecutor"]
#: What stands in for AWS: moto's server, or the one that takes little CPU (docs/adr/0039).
StandIn = Literal["moto", "quick"]
STAND_INS: Sequence[StandIn] = get_args(StandIn)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """``workers`` counts Celery's; the local executor has its workers within the scheduler.

    :raises SettingsError: the parts do not fit together.
    """

    database: Database = "postgresql"
    executor: Executor = "LocalExecutor"
    schedulers: int = 1
    dag_processors: int = 1
    triggerers: int = 1
    workers: int = 0
    aws: StandIn = "moto"

    def __post_init__(self) -> None:
        if self.database == "sqlite" and (self.schedulers > 1 or self.executor == "CeleryExecutor"):
            raise SettingsError("several schedulers, and Celery, need PostgreSQL: SQLite cannot lock rows")
        if (self.workers > 0) != (self.executor == "CeleryExecutor"):
            raise SettingsError("CeleryExecutor needs workers, and only it has some")
        if min(self.schedulers, self.dag_processors, self.triggerers) < 1:
            raise SettingsError("a stack needs at least one scheduler, dag-processor and triggerer")

    def on(self, stand_in: str) -> Topology:
        """The same on another stand-in for AWS.

        :raises SettingsError: there is none of that name.
        """
        found = next((each for each in STAND_INS if each == stand_in), None)
        if found is None:
            raise SettingsError(f"no stand-in for AWS {stand_in!r}; there are {', '.join(STAND_INS)}")
        return replace(self, aws=found)

    @property
    def servers(self) -> tuple[str, ...]:
        """What Airflow stands on, beside AWS and the mock."""
        postgresql = ("postgresql",) if self.database == "postgresql" else ()
        return (*postgresql, "redis") if self.executor == "CeleryExecutor" else postgresql

    @property
    def airflow(self) -> tuple[str, ...]:
        """Airflow's services by name; of several of a kind each has a number: ``scheduler-1``, ``scheduler-2``."""
        kinds = {
            "scheduler": self.schedulers,
            "dag-processor": self.dag_processors,
            "triggerer": self.triggerers,
            "worker": self.workers,
        }
        return ("api-server", *(name for kind, count in kinds.items() for name in _numbered(kind, count)))

    @property
    def services(self) -> tuple[str, ...]:
        return ("aws", "mock", *self.servers, *self.airflow)

    @property
    def ports(self) -> tuple[str, ...]:
        """Names of the ports that this topology needs beside the usual ones."""
        served = [name for name in self.airflow if name.rsplit("-", 1)[-1].isdigit()]
        return (*self.servers, *served, *(name for name in self.airflow if name == "worker"))


def _numbered(kind: str, count: int) -> tuple[str, ...]:
    return (kind,) * count if count < 2 else tuple(f"{kind}-{number}" for number in range(1, count + 1))


LOCAL = Topology()
#: Where there is no PostgreSQL at all. Several processes that write at the same time wait for each other there.
LAST_RESORT = Topology(database="sqlite")
#: By name, for the command line and ``CCH_TOPOLOGY``.
TOPOLOGIES: Mapping[str, Topology] = {
    "local": LOCAL,
    "sqlite": LAST_RESORT,
    "cluster": Topology(
        database="postgresql", executor="CeleryExecutor", schedulers=2, triggerers=2, workers=2
    ),
}  # fmt: skip


def topology_named(name: str) -> Topology:
    """:raises SettingsError: there is none of that name."""
    try:
        return TOPOLOGIES["local" if name == "postgresql" else name]  # its name before it was what everybody gets
    except KeyError:
        raise SettingsError(f"no topology {name!r}; there are {', '.join(TOPOLOGIES)}") from None
