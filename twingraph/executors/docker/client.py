"""The one module that knows the engine's client library (the extra `docker`). Foreign exceptions become ours here."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from twingraph.core.errors import MissingExtraError, TwinGraphError
from twingraph.core.recordclass import recordclass
from twingraph.executors.docker.request import Request

# What says where the engine is; of the environment nothing else is read.
ENVIRONMENT = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# For everything but streams and pulls.
CALL_SECONDS = 60

_STDERR = 2
_HEADER = struct.Struct(">BxxxL")
_READ = 1 << 16
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_Given = TypeVar("_Given")
Piece = tuple[bytes | None, bytes | None]  # of stdout, of stderr


class Pieces(Protocol):
    """What a container says, to be closed by who reads it."""

    def __iter__(self) -> Iterator[Piece]: ...
    def close(self) -> None: ...

    def hang_up(self) -> None:
        """On any thread: who reads it hears no more."""


class Line(Pieces, Protocol):
    """The same, of one that can be told something too."""

    def send(self, data: bytes) -> None:
        """OSError: nobody hears it any more."""

    @property
    def is_still(self) -> bool:
        """Whether it is open, and nothing waits to be read."""


class EngineError(TwinGraphError):
    """What the engine answered. `kind`: missing | image | conflict | refused | unreachable.

    `image`: the image is not to be had; `missing`: something else is not there, such as the container or a network.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


@recordclass
class Container:
    """What the engine says of one."""

    id: str
    name: str
    state: str  # created | running | paused | restarting | removing | exited | dead
    exit_code: int | None = None
    oom_killed: bool = False
    labels: Mapping[str, str]


class Engine:
    """One engine, here or elsewhere. All methods block; any thread may call them."""

    def __init__(self, environment: Mapping[str, str], host: str | None = None) -> None:
        """`environment` as the engine's own command line reads it: DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH."""
        try:
            import docker
            from docker import errors, types, utils

            from twingraph.executors.docker.sockets import SocketAdapter
        except ImportError as error:
            raise MissingExtraError("platform='docker'", "docker") from error
        import requests

        self._errors, self._types, self._lost = errors, types, (requests.exceptions.RequestException, OSError)
        found = {name: value for name in ENVIRONMENT if (value := environment.get(name)) is not None}
        given = utils.kwargs_from_env(found) if found else {}
        if host:
            given["base_url"] = host
        self.address = given.get("base_url") or "unix:///var/run/docker.sock"

        on_socket = self.address.startswith(("unix:", "http+unix:", "/"))
        proxies = {} if on_socket else requests.utils.get_environ_proxies(self.address)

        def client(version: str | None) -> Any:
            made = docker.APIClient(version=version or docker.constants.DEFAULT_DOCKER_API_VERSION, **given)
            if "http+docker://" in made.adapters and on_socket:
                made.mount("http+docker://", SocketAdapter(utils.parse_host(self.address), CALL_SECONDS))
            # Else each call looks through the environment, which may change under it while another thread sets a name.
            made.trust_env = False
            made.proxies.update(proxies)
            return made

        given["timeout"] = CALL_SECONDS
        asking = self._made(lambda: client(None))
        try:  # asked by ourselves, since the library asks before it can be told how to connect
            version = self._made(lambda: str(asking.version(api_version=False)["ApiVersion"]))
        finally:
            asking.close()
        self._api: Any = self._made(lambda: client(version))

    def _made(self, act: Callable[[], _Given]) -> _Given:
        errors = self._errors
        try:
            return act()
        except errors.APIError as error:
            said = str(error.explanation or error).strip()
            kind = {404: "missing", 409: "conflict"}.get(error.status_code, "refused")
            if error.status_code in (502, 503, 504):
                raise EngineError("unreachable", self._unreachable(error)) from error
            raise EngineError(kind, said) from error
        except self._lost as error:
            raise EngineError("unreachable", self._unreachable(error)) from error
        except errors.DockerException as error:
            lost = "connection" in str(error).lower() or "fetching server API version" in str(error)
            message = self._unreachable(error) if lost else str(error)
            raise EngineError("unreachable" if lost else "refused", message) from error

    def _unreachable(self, error: Exception) -> str:
        return f"the Docker engine at {self.address} does not answer: {_reason(error)}; start it, or set DOCKER_HOST"

    # -- images ------------------------------------------------------------------------------------

    def has_image(self, image: str) -> bool:
        try:
            self._made(lambda: self._api.inspect_image(image))
        except EngineError as error:
            if error.kind != "missing":
                raise
            return False
        return True

    def pull(self, image: str, credentials: Mapping[str, str] | None) -> None:
        def pull() -> None:
            repository, tag = _parts_of(image)
            auth = None if credentials is None else dict(credentials)
            for step in self._api.pull(repository, tag=tag, auth_config=auth, stream=True, decode=True):
                if "error" in step:
                    raise EngineError("image", str(step["error"]))

        self._made(pull)

    def cores(self) -> int:
        return int(self._made(lambda: self._api.info())["NCPU"])

    # -- containers --------------------------------------------------------------------------------

    def create(self, request: Request) -> str:
        def create() -> str:
            host = dict(request.host)
            count = host.pop("gpus", None)
            if count is not None:
                wanted = self._types.DeviceRequest(driver="nvidia", count=count, capabilities=[["gpu"]])
                host["device_requests"] = [wanted]
            made = self._api.create_container(
                request.image,
                entrypoint=list(request.entrypoint),
                command=[],
                name=request.name,
                environment=dict(request.environment),
                labels=dict(request.labels),
                user=request.user,
                stdin_open=True,  # closed for good when who speaks to it is gone
                host_config=self._api.create_host_config(**host),
            )
            return str(made["Id"])

        return self._made(create)

    def get(self, container: str, path: str) -> Iterable[bytes]:
        found: tuple[Iterable[bytes], Any] = self._made(lambda: self._api.get_archive(container, path))
        return found[0]

    def attach(self, container: str) -> Line:
        """What it says from now on, and what it is told. To be called before it is started."""
        what = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        return Attached(self._made(lambda: self._api.attach_socket(container, params=what)))

    def logs(self, container: str) -> Pieces:
        """What it has said so far, and what it says from now on."""

        def ask(out: bool) -> Any:
            return self._api.logs(container, stdout=out, stderr=not out, stream=True, follow=True)

        return Logs(lambda out: self._made(lambda: ask(out)))

    def start(self, container: str) -> None:
        self._made(lambda: self._api.start(container))

    def rename(self, container: str, name: str) -> None:
        self._made(lambda: self._api.rename(container, name))

    def signal(self, container: str, name: str) -> None:
        self._made(lambda: self._api.kill(container, signal=name))

    def look(self, container: str) -> Container | None:
        """None: there is no such container."""
        try:
            found = self._made(lambda: self._api.inspect_container(container))
        except EngineError as error:
            if error.kind == "missing":
                return None
            raise
        state = found["State"]
        return Container(
            id=found["Id"],
            name=found["Name"].lstrip("/"),
            state=state["Status"],
            exit_code=state["ExitCode"],
            oom_killed=bool(state["OOMKilled"]),
            labels=found["Config"]["Labels"] or {},
        )

    def find(self, labels: Mapping[str, str]) -> list[Container]:
        wanted = [f"{name}={value}" for name, value in labels.items()]
        found = self._made(lambda: self._api.containers(all=True, filters={"label": wanted}))
        return [
            Container(id=one["Id"], name=one["Names"][0].lstrip("/"), state=one["State"], labels=one["Labels"] or {})
            for one in found
            if one.get("Names")
        ]

    def remove(self, container: str) -> None:
        try:
            self._made(lambda: self._api.remove_container(container, force=True, v=True))
        except EngineError as error:
            if error.kind not in ("missing", "conflict"):  # it is gone, or going
                raise

    def close(self) -> None:
        """Streams that are still read stay open."""
        with suppress(Exception):
            self._api.close()


class Logs:
    """First all of stdout, then all of stderr. Asked for when it is read."""

    def __init__(self, ask: Callable[[bool], Any]) -> None:
        """`ask` gives a stream of the client library: of stdout, or not."""
        self._ask = ask
        self._heard: Any = None
        self._is_over = False

    def __iter__(self) -> Iterator[Piece]:
        for out in (True, False):
            self._heard = None if self._is_over else self._ask(out)
            for piece in self._heard if not self._is_over else ():
                yield (piece, None) if out else (None, piece)

    def hang_up(self) -> None:
        self._is_over = True
        if self._heard is not None:
            with suppress(Exception):  # over SSH it cannot be done, and ends with the container
                self._heard.close()

    def close(self) -> None:
        """On the thread that has read it."""
        self.hang_up()
        answer = getattr(self._heard, "_response", None)  # holds the socket open
        if answer is not None:
            with suppress(Exception):
                answer.close()


class Attached:
    """The engine's own framing: a stream's number and a size stand before each piece. Read whole from the socket, since
    what an encrypted one has already unpacked is not seen by who waits for the descriptor.
    """

    def __init__(self, opened: Any) -> None:
        self._socket = opened
        self._channel: Any = getattr(opened, "_sock", None) or opened
        for one in (opened, self._channel):
            if hasattr(one, "settimeout"):
                one.settimeout(None)
        self._read: Callable[[int], bytes | None] = getattr(opened, "recv", None) or opened.read
        self._rest = b""

    def send(self, data: bytes) -> None:
        """What is said meanwhile is kept until it is read: a place may speak before it listens."""
        left = memoryview(data)
        self._channel.settimeout(0)
        try:
            while left:
                try:
                    left = left[self._channel.send(left) :]
                except _NOT_NOW:
                    self._hear()
        finally:
            with suppress(OSError):
                self._channel.settimeout(None)

    def _hear(self) -> None:
        """Until something was said, or something more can be."""
        waiting = select.poll()
        waiting.register(self._channel.fileno(), select.POLLIN | select.POLLOUT)
        waiting.poll()
        with suppress(*_NOT_NOW):
            more = self._channel.recv(_READ)
            if not more:
                raise BrokenPipeError("it has ended")
            self._rest += more

    @property
    def is_still(self) -> bool:
        waiting = select.poll()  # `select.select` knows no descriptor past the first thousand
        waiting.register(self._channel.fileno(), select.POLLIN)
        return not self._rest and not waiting.poll(0)

    def __iter__(self) -> Iterator[Piece]:
        while True:
            while len(self._rest) >= _HEADER.size:
                stream, size = _HEADER.unpack_from(self._rest)
                end = _HEADER.size + size
                if len(self._rest) < end:
                    break
                piece, self._rest = self._rest[_HEADER.size : end], self._rest[end:]
                yield (None, piece) if stream == _STDERR else (piece, None)
            more = self._read(_READ)
            if not more:
                return
            self._rest += more

    def hang_up(self) -> None:
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for part in (self._socket, getattr(self._socket, "_sock", None), getattr(self._socket, "_response", None)):
            if part is not None:
                with suppress(Exception):  # each of them holds the connection open
                    part.close()


def _reason(error: BaseException) -> str:
    """Why a connection failed, as the system says it: what the libraries between say is about themselves."""
    found: list[BaseException] = [error]
    for one in found:
        inner = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        found += [cause for cause in inner if isinstance(cause, BaseException) and cause not in found]
    names = {type(one).__name__ for one in found}
    for one in found:
        if isinstance(one, OSError) and isinstance(one.strerror, str):
            return one.strerror
    if any("Timeout" in name for name in names):
        return f"nothing came within {CALL_SECONDS} s"
    return str(found[-1]) or type(found[-1]).__name__


def _parts_of(image: str) -> tuple[str, str | None]:
    """Repository and tag; a digest is part of the repository, and without either the engine takes `latest`."""
    if "@" in image:
        return image, None
    repository, colon, tag = image.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (image, "latest")
