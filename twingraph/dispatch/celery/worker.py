"""What a worker needs of its machine: a folder, the shared blob store, pools. No database."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twingraph.core.errors import PermanentError, TwinGraphError
from twingraph.dispatch.base import CodeRef, Dispatch
from twingraph.dispatch.celery.application import desk_queue, queue_word, sending
from twingraph.dispatch.celery.carrier import Carrier
from twingraph.dispatch.celery.clearing import clear_often
from twingraph.dispatch.celery.hosted import Hosted, World
from twingraph.dispatch.celery.messages import Left, Offer, Word, probe_hash
from twingraph.dispatch.celery.outbox import Outbox
from twingraph.dispatch.celery.posts import Open, post_name
from twingraph.dispatch.celery.room import Room
from twingraph.dispatch.celery.signing import Seal
from twingraph.dispatch.celery.threads import Receiver
from twingraph.dispatch.distributions import missing
from twingraph.dispatch.embedded import EmbeddedPool, options_of
from twingraph.dispatch.embedded.usage import resident_bytes
from twingraph.dispatch.host_process import hello_of
from twingraph.dispatch.jobs import JobDispatch
from twingraph.dispatch.routing import Routing
from twingraph.dispatch.secrets import Resolving
from twingraph.dispatch.secrets.catalog import configured
from twingraph.executors.base import Executor
from twingraph.executors.catalog import executor
from twingraph.settings import Settings
from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.catalog import open_blobs
from twingraph.store.blobs.settled import blob_address
from twingraph.store.home import Home

LOG = logging.getLogger("twingraph.celery")

# Platforms beside the pool on which a worker carries nodes out.
ELSEWHERE = ("docker",)
# Processes of bodies that a worker has at most, where nobody says another number.
MOST_BODIES = 16


class NotSharedError(PermanentError):
    """A worker and a conductor keep values at different places."""


def seal_of(settings: Settings, home: Home, blobs: BlobStore) -> Seal:
    """With the key that the settings name, else with that of what conductor and workers share: the blob store that the
    settings name, or the home."""
    if settings.worker_key is not None:
        return Seal(settings.worker_key.encode())
    return Seal(home.secret() if settings.blob_url is None else blobs.shared_key())


def make_carrier(settings: Settings, app: Any, name: str) -> Carrier:
    """TwinGraphError when this machine cannot serve: the home or the blob store cannot be used."""
    home = Home(Path(settings.home)).open()
    home.close()  # only its files are used from now on: nobody who makes or migrates its database waits for us
    blobs = open_blobs(blob_address(settings, home))
    blobs.check()
    seal = seal_of(settings, home, blobs)
    own = f"{name}#{os.urandom(2).hex()}"  # it counts its messages, and begins anew with each process
    outbox = Outbox(own, seal, partial(sending, app))
    ground = OwnGround(settings, home, seal, blobs, outbox.say)

    def ear(heard: Callable[[Any], None]) -> Receiver:
        queue, forgetful = desk_queue(post_name(own)), not app.conf.task_acks_late
        return Receiver("twingraph-post", app.connection_for_read, queue, heard, forgetful=forgetful)

    clear_often(home.path / "cache" / "projects")
    most = MOST_BODIES if settings.bodies is None else settings.bodies
    return Carrier(
        own,
        seal,
        ground,
        outbox,
        lambda: [queue_word(queue) for queue in app.amqp.queues.consume_from],
        Hosted(own, seal, outbox, ground.world_of, ear, most=most),
        room=Room(settings.max_memory, partial(resident_bytes, os.getpid())),
    )


def worker_name() -> str:
    """Two workers of one machine need different names."""
    return f"{os.getpid()}-{os.urandom(3).hex()}@{socket.gethostname()}"


class OwnGround:
    """See `ground.Ground`."""

    def __init__(
        self, settings: Settings, home: Home, seal: Seal, blobs: BlobStore, say: Callable[[str, Word], None]
    ) -> None:
        """`say` tells the conductor at a desk."""
        self._say = say
        self._desks: dict[str, str] = {}  # by place: of the conductor that spoke last
        self._settings = settings
        self._home = home
        self._seal = seal
        self._blobs = blobs
        self._lock = threading.Lock()
        self._codes: dict[str, CodeRef] = {}
        self._pools: dict[str, Dispatch] = {}

    def spoke(self, place: str, desk: str) -> None:
        self._desks[place] = desk

    def code_of(self, offer: Offer) -> CodeRef:
        known = self._codes.get(offer.version)
        if known is None:
            self._check_shared(offer.place)
            known = self._codes[offer.version] = _code(offer, self._kept)
        return known

    def world_of(self, opening: Open) -> World:
        """For bodies. They are replayed, so a Python that is another one than they began on does not do."""
        self._check_shared(opening.place)
        code = _code(opening, self._kept)
        with _reading_code():
            world = json.loads(opening.description)
            recorded, python = str(world["interpreter"]), str(world["python"])
            code = replace(code, body_path=self._kept(world["body"]))
            gone = missing(world.get("distributions", {}), code.interpreter, code.sys_path)
        if code.interpreter != recorded and python.split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
            raise PermanentError(f"they began on Python {python}, which is not at {recorded} here")
        if gone:
            raise PermanentError(f"their code needs what is not installed here: {', '.join(gone)}")
        address, secret = blob_address(self._settings, self._home), self._seal.unmask(opening.key)
        return World(code, hello_of(code, address, secret))

    def _check_shared(self, place: str) -> None:
        if not self._blobs.exists(probe_hash(place)):
            raise NotSharedError(
                f"what the conductor keeps is not at {blob_address(self._settings, self._home)}; give conductor and "
                "workers the same TWINGRAPH_BLOB_URL"
            )

    def _kept(self, digest: str) -> str:
        path = self._blobs.keep(digest)
        if path is not None:
            return str(path)
        folder = self._home.path / "cache" / "code"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / digest
        if not file.exists():
            fresh = folder / f"{digest}.{os.getpid()}.{threading.get_ident()}"
            fresh.write_bytes(self._blobs.read(digest))
            fresh.replace(file)
        return str(file)

    def pool_of(self, offer: Offer) -> Dispatch:
        with self._lock:
            known = self._pools.get(offer.place)
            if known is None:
                known = self._pools[offer.place] = self._pool(offer.place, self._seal.unmask(offer.key))
            return known

    def _pool(self, place: str, secret: bytes) -> Dispatch:
        address = blob_address(self._settings, self._home)
        projects = str(self._home.path / "cache" / "projects")
        pool = EmbeddedPool(options_of(self._settings), blobs_path=address, secret_key=secret, projects=projects)
        others = {name: partial(self._elsewhere, name, place, secret) for name in ELSEWHERE}
        return Resolving(
            Routing(pool, others),
            lambda: configured(os.environ, self._settings.secrets_file, self._settings.secrets_vault),
        )

    def _elsewhere(self, platform: str, place: str, secret: bytes) -> JobDispatch:
        return JobDispatch(partial(self._executor, platform, place, secret), partial(self._ask, place))

    def _executor(self, platform: str, place: str, secret: bytes) -> Executor:
        return executor(platform, os.environ, place, secret, self._blobs, self._home.path / "compiled")

    def _ask(self, place: str, execution: str) -> bool:
        """Which executions are over a conductor knows. Its answer is a wish, and `clear` comes of that."""
        self._say(self._desks[place], Left(execution))
        return False

    def clear(self, place: str, execution: str) -> None:
        threading.Thread(target=self._clear, args=(place, execution), name="twingraph-clear", daemon=True).start()

    def _clear(self, place: str, execution: str) -> None:
        for platform in ELSEWHERE:
            try:
                with closing(self._executor(platform, place, b"")) as made:
                    made.clear(execution)
            except TwinGraphError as error:  # there is none, or it is away; later it may not be
                LOG.debug("what others left of %s was not removed: %s", execution, error)
            except Exception:
                LOG.exception("what others left of %s was not removed", execution)


@contextmanager
def _reading_code() -> Iterator[None]:
    try:
        yield
    except TwinGraphError as error:
        raise PermanentError(f"its code cannot be fetched: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentError(f"what is said of its code cannot be read: {type(error).__name__}: {error}") from error


def _code(offer: Offer | Open, kept: Callable[[str], str]) -> CodeRef:
    """The recorded world, as far as this machine has it; where it has none of it, this worker's own."""
    if not offer.description:
        return CodeRef(version=offer.version, bundle_path="", interpreter="", working_dir="")
    with _reading_code():
        world: Mapping[str, Any] = json.loads(offer.description)
        bundle = kept(world["bundle"])
        interpreter, folder = str(world["interpreter"]), str(world["working_dir"])
        sys_path = tuple(str(entry) for entry in world["sys_path"])
    return CodeRef(
        version=offer.version,
        bundle_path=bundle,
        interpreter=interpreter if Path(interpreter).exists() else sys.executable,
        working_dir=folder if Path(folder).is_dir() else os.getcwd(),
        sys_path=sys_path,
        description=offer.description,
    )
