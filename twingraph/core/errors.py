"""Every error that TwinGraph raises, and every code that a failed node can carry.

TwinGraphError
├── PermanentError            trying again cannot help (authors may raise it themselves)
│   ├── ValidationError       the author's definition or inputs are wrong; carries `problems`
│   ├── SliceError            code that cannot be cut out of its module
│   ├── CodecError            a value that cannot be stored or read back
│   ├── SecretError           a secret that nobody knows, or that may not be read
│   ├── MissingExtraError     an optional dependency is not installed
│   ├── HandleMisused         a handle was used where only its value can stand; also a TypeError
│   └── ReplayMismatch        a pipeline body no longer makes the calls that its history has
├── NotFoundError             an id that nobody knows; carries `near`
├── ConflictError             the state of the thing forbids the request
│   └── HeldElsewhere         another living process carries the execution out
├── AuthenticationError
├── PermissionDeniedError
├── RateLimitError
├── ServerError               the other side failed; trying again may help
│   └── SecretUnavailable     the vault that holds a secret does not answer now
├── StoreError                the operator has to act: disk, database, home folder
│   ├── HomeError             the home folder cannot be used, or is gone
│   ├── DamagedError          the bytes of one value are not those that were stored
│   ├── BlobsUnavailable      the store of large values does not answer now
│   └── LeaseLost             another conductor owns the execution now
├── ExecutionFailed           an execution ended without its result
└── NodeFailed                a node ended without its outputs
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple


class ErrorCode(StrEnum):
    """Why a node or an execution failed, in one word for the wire."""

    USER_ERROR = "user_error"
    TIMEOUT = "timeout"
    START_TIMEOUT = "start_timeout"
    OOM = "oom"
    CRASHED = "crashed"
    WORKER_LOST = "worker_lost"
    CANCELLED = "cancelled"
    INVALID_OUTPUT = "invalid_output"
    INVALID_INPUT = "invalid_input"
    UPSTREAM = "upstream"
    REPLAY_MISMATCH = "replay_mismatch"
    CODE_UNAVAILABLE = "code_unavailable"
    SECRET_UNAVAILABLE = "secret_unavailable"
    INTERNAL = "internal"


# The type of a loss where what was to run a node cannot be reached: nothing ran, and it may be back in a moment.
UNREACHABLE = "EngineUnreachable"


class Problem(NamedTuple):
    """One thing wrong with a definition or with inputs, and where it is."""

    message: str
    node: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        place = ".".join(part for part in (self.node, self.field) if part)
        return f"{place}: {self.message}" if place else self.message


def _again(kind: type[Exception], arguments: tuple[object, ...], state: dict[str, object]) -> Exception:
    made = kind.__new__(kind, *arguments)
    made.args = arguments
    made.__dict__.update(state)
    return made


class TwinGraphError(Exception):
    """Root of everything that TwinGraph raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled without the constructor, which may want more than the message."""
        return _again, (type(self), self.args, self.__dict__)


class PermanentError(TwinGraphError):
    """Trying again cannot help; a retry policy never retries it."""


class ValidationError(PermanentError):
    """What the author wrote is wrong; all problems are reported at once."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        self.problems: tuple[Problem, ...] = (
            (Problem(message=problems),) if isinstance(problems, str) else tuple(problems)
        )
        lines = [str(problem) for problem in self.problems]
        super().__init__(
            lines[0] if len(lines) == 1 else f"{len(lines)} problems:\n" + "\n".join(f"  - {line}" for line in lines)
        )


class SliceError(PermanentError):
    """Code cannot be cut out of its module; names the file, the line and the remedy."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        self.file = file
        self.line = line
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(place + message)


class CodecError(PermanentError):
    """A value cannot be stored, or what was stored cannot be read back."""


class SecretError(PermanentError):
    """A secret that a node needs is not known or may not be read; names it and the ways to give it."""


class MissingExtraError(PermanentError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional dependency: pip install 'twingraph[{extra}]'")


class HandleMisused(PermanentError, TypeError):  # noqa: N818 - says what happened
    """A handle was used where only its value can stand."""


class ReplayMismatch(PermanentError):  # noqa: N818 - the documented name
    """A pipeline body no longer makes the calls that its history has."""


class NotFoundError(TwinGraphError):
    """An id or a name that nobody knows."""

    def __init__(self, message: str, *, near: Sequence[str] = ()) -> None:
        self.near = tuple(near)
        hint = f" (near: {', '.join(self.near)})" if self.near else ""
        super().__init__(message + hint)


class ConflictError(TwinGraphError):
    """The state of the thing forbids the request."""


class HeldElsewhere(ConflictError):  # noqa: N818 - a fact, not a fault
    """Another living process carries the execution out."""


class AuthenticationError(TwinGraphError):
    """No credential, or a bad one."""


class PermissionDeniedError(TwinGraphError):
    """The credential's role does not allow the request."""


class RateLimitError(TwinGraphError):
    """Too many requests."""


class ServerError(TwinGraphError):
    """The other side failed; trying again may help."""


class SecretUnavailable(ServerError):  # noqa: N818 - what retry policies name
    """Where a secret is kept does not answer; trying again may help."""


class StoreError(TwinGraphError):
    """Durable storage failed; the operator has to act."""


class HomeError(StoreError):
    """The home folder cannot be used; says why and what to do."""


class DamagedError(StoreError):
    """The bytes of one value are not those that were stored; what needs it fails, and nothing else."""


class BlobsUnavailable(StoreError):  # noqa: N818 - what retry policies name
    """Where large values are kept does not answer now; trying again may help, so a retry policy does."""


class LeaseLost(StoreError):  # noqa: N818 - a fact, not a fault
    """Another conductor owns the execution now; what this one wanted to write was refused."""


class ExecutionFailed(TwinGraphError):  # noqa: N818 - the documented name
    """An execution ended without its result."""

    def __init__(
        self,
        message: str,
        *,
        execution_id: str,
        node_id: str | None = None,
        code: str = ErrorCode.USER_ERROR.value,
        error_type: str | None = None,
        remote_traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.execution_id = execution_id
        self.node_id = node_id
        self.code = str(code)  # of a member of ErrorCode its plain word
        self.error_type = error_type
        self.remote_traceback = remote_traceback


class NodeFailed(TwinGraphError):  # noqa: N818 - the documented name
    """A node ended without its outputs."""

    def __init__(
        self,
        message: str,
        *,
        execution_id: str,
        node_id: str,
        error_type: str | None = None,
        code: str = ErrorCode.USER_ERROR.value,
        remote_traceback: str | None = None,
    ) -> None:
        super().__init__(message)
        self.execution_id = execution_id
        self.node_id = node_id
        self.error_type = error_type
        self.code = str(code)  # of a member of ErrorCode its plain word
        self.remote_traceback = remote_traceback
