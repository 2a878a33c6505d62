"""The platform's services, opened once for an event loop and shared by everything that runs in it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cch.capabilities.calls import Caller
from cch.definition.catalogue import Catalogue
from cch.errors import CapabilityError
from cch.exchange import Exchange, References
from cch.ledger.ledger import Ledger
from cch.messaging.desk import Desk
from cch.messaging.queue import Queues
from cch.messaging.router import Router
from cch.pauses import MakePauses, Pauses
from cch.runtime.admission import CatalogueAdmission
from cch.runtime.archive import Archive
from cch.runtime.definitions import open_catalogue
from cch.runtime.gatekeeper import Gatekeeper
from cch.runtime.lifecycle import Publisher, Topic
from cch.runtime.plans import Plans
from cch.runtime.turnstile import Turnstile
from cch.settings import Settings, load_settings

if TYPE_CHECKING:
    from cch.graph.plan import Plan
    from cch.interpreter.flow import TokenFlow
    from cch.interpreter.outcome import Outcome
    from cch.ledger.records import InstanceView
    from cch.runtime.region_task import RegionEnd, RegionTask

log = logging.getLogger(__name__)


def now_ms() -> int:
    """The clock of real runs, in ms since 1970."""
    return time.time_ns() // 1_000_000


def _nowhere(uri: str, text: str) -> None:  # noqa: ARG001
    raise CapabilityError(f"there is no place for {uri}")


class Ahead(Protocol):
    """What lets the next regions begin where the region before has left (:mod:`cch.runtime.ahead`)."""

    def follow(
        self,
        task: RegionTask,
        platform: Platform,
        plan: Plan,
        *,
        flow: TokenFlow,
        left: Sequence[Outcome],
        view: InstanceView,
    ) -> None:
        """Begin what waits for nothing but these outcomes; returns at once.

        ``flow``: the tokens after them. ``view``: the instance with its exits, these included.
        """

    async def taken_over(self, task_instance: str) -> RegionEnd | None:
        """The end of the copy of this task, once it ends; None if there is none, or it has stopped by itself."""


@dataclass(kw_only=True)
class Platform:
    """Everything a region needs. ``read_object`` gets the text of an S3 URI, ``write_object`` puts it."""

    settings: Settings
    ledger: Ledger
    queues: Queues
    catalogue: Catalogue
    read_object: Callable[[str], str]
    write_object: Callable[[str, str], None] = _nowhere
    clock: Callable[[], int] = now_ms
    #: Where lifecycle events go; None: nowhere.
    topic: Topic | None = None
    #: Where instances are kept that expire; None: nowhere.
    archive: Archive | None = None
    turnstile: Turnstile = field(default_factory=Turnstile)
    #: Between two tries while AWS does not answer.
    pauses: MakePauses = Pauses
    #: Whether a region that is held gives up its process, which is a worker's, to go on later.
    yields: bool = False
    #: Lets the regions after one that leaves begin in this process; None: Airflow alone does.
    ahead: Ahead | None = None
    caller: Caller = field(init=False)
    plans: Plans = field(init=False)
    gatekeeper: Gatekeeper = field(init=False)
    exchange: Exchange = field(init=False)
    router: Router = field(init=False)
    desk: Desk = field(init=False)

    @property
    def publisher(self) -> Publisher | None:
        """Publishes lifecycle events; None: they go nowhere."""
        return None if self.topic is None else Publisher(self.topic, self.settings, self.pauses)

    def __post_init__(self) -> None:
        references = References(self.read_object, self.settings.names)
        self.caller = Caller(self.settings)
        self.plans = Plans(self.catalogue)
        self.gatekeeper = Gatekeeper(self.ledger, self.clock, self.settings.mailbox_seconds)
        self.exchange = Exchange(self.ledger, self.clock, references)
        admission = CatalogueAdmission(self.catalogue, self.ledger.versions, self.clock, lambda: self.settings.awaited)
        self.desk = Desk(self.ledger, self.exchange, admission, self.clock)
        self.router = Router(
            ledger=self.ledger,
            exchange=self.exchange,
            queues=self.queues,
            names=self.settings.names,
            admission=admission,
            clock=self.clock,
            consumers=self.settings.reply_consumers,
            mailbox_seconds=self.settings.mailbox_seconds,
        )


@asynccontextmanager
async def aws_platform() -> AsyncIterator[Platform]:
    """The platform on SQS, DynamoDB and S3."""
    from cch.aws.objects import S3Archive, S3Blobs, read_uri, write_uri  # noqa: PLC0415
    from cch.aws.queues import SqsQueues  # noqa: PLC0415
    from cch.aws.session import async_clients  # noqa: PLC0415
    from cch.aws.tables import DynamoStore  # noqa: PLC0415
    from cch.aws.topics import SnsTopic  # noqa: PLC0415

    settings = load_settings()
    async with AsyncExitStack() as stack:
        published = ["sns"] if settings.lifecycle_topic else []
        dynamodb, sqs, *sns = await async_clients(stack, settings, "dynamodb", "sqs", *published)
        ledger = Ledger(DynamoStore(dynamodb, settings.names.table), S3Blobs(settings), settings.retention_days)
        platform = Platform(
            settings=settings,
            ledger=ledger,
            queues=SqsQueues(sqs),
            catalogue=open_catalogue(settings),
            read_object=lambda uri: read_uri(uri, settings),
            write_object=lambda uri, text: write_uri(uri, text, settings),
            topic=SnsTopic(sns[0], settings.lifecycle_topic) if sns else None,
            archive=S3Archive(settings) if settings.archive else None,
        )
        stack.push_async_callback(platform.caller.close)
        yield platform


Opener = Callable[[], AbstractAsyncContextManager[Platform]]
_opener: Opener = aws_platform
_pauses: MakePauses = Pauses


def use_opener(opener: Opener, pauses: MakePauses = Pauses) -> Opener:
    """Run everything in this process on another platform (tests, simulations); returns the opener before.

    ``pauses``: between two tries to open a shared one.
    """
    global _opener, _pauses
    previous, _opener, _pauses = _opener, opener, pauses
    return previous


def open_platform() -> AbstractAsyncContextManager[Platform]:
    """The platform for one piece of work; its router is not started."""
    return _opener()


#: Keeps the shared platforms' context managers from being collected, which would close them.
_held: list[AbstractAsyncContextManager[Platform]] = []
_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Platform]] = weakref.WeakKeyDictionary()


async def shared_platform() -> Platform:
    """The platform of this event loop, with its router running; stays open as long as the loop.

    For the triggerer: its loop lives as long as its process, so nobody closes this. While it cannot be opened
    everybody waits: thousands of tasks would fail for a setting that is fixed in a minute.
    """
    loop = asyncio.get_running_loop()
    opening = _shared.get(loop)
    if opening is None:
        # An empty context: what the router logs must not end up in the log of whichever trigger came first.
        opening = _shared[loop] = loop.create_task(_open_shared(), name="cch platform", context=contextvars.Context())
    return await asyncio.shield(opening)


async def _open_shared() -> Platform:
    pauses = _pauses()
    while True:
        manager = _opener()
        try:
            platform = await manager.__aenter__()
        except Exception as error:  # noqa: BLE001 - settings, credentials or AWS: all can be fixed while we wait
            log.warning("cannot begin yet: %s: %s", type(error).__name__, error)
            await asyncio.sleep(pauses.next())
            continue
        _held.append(manager)
        platform.caller.share()
        platform.router.start()
        return platform
