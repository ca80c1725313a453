"""The records that the engine's hot path needs of an execution: what bounds it, how something in it failed, and what it
does otherwise than the execution that it replays. And the look at each part of what is said by a process in which user
code runs: it may be anything, and whoever is told of it looks no more."""

from __future__ import annotations

from typing import Any

from twingraph.core.recordclass import recordclass


@recordclass
class ErrorRecord:
    """A failure in the words of the wire."""

    code: str
    error_type: str
    message: str
    node_id: str | None = None
    traceback: str | None = None
    exit_code: int | None = None
    attempt: int | None = None
    types: tuple[str, ...] = ()  # the whole MRO, qualified: what retry policies match
    permanent: bool = False
    exception: str | None = None  # its arguments and attributes as a value's text, where they can be stored

    @property
    def words(self) -> str:
        """What it was and what it said, if it said anything."""
        return f"{self.error_type}: {self.message}" if self.message else self.error_type


@recordclass
class Settings:
    """What bounds one execution."""

    max_parallel: int = 10
    timeout: float | None = 3600.0
    error_handler: str = "fail"
    handler_component: int | None = None  # spec of the custom handler
    handler_args: tuple[str, ...] | None = None  # the parts of the error record that it declares; None: all
    continue_on_error: bool = False
    fresh_from: float | None = None  # cached work that was begun before this counts for nothing: `--refresh`


@recordclass
class GivenOutcome:
    """What a node is taken to have given, without being run. Its outputs' texts stand beside this."""

    node: str
    shape: str | None = "plain"
    outputs: tuple[tuple[str, str, int], ...] = ()  # (name, content hash, size) of each
    handle: str | None = None  # of a branch, instead


@recordclass
class Changes:
    """What a replay does otherwise than the execution that it replays; what else had finished there is kept."""

    everything: bool = False  # nothing is kept
    alone: str | None = None  # nothing but this node is run
    resumed: bool = False  # all that had finished is kept, as without any changes
    anew: tuple[str, ...] = ()  # the nodes that are done again; with all that came of them
    given: tuple[GivenOutcome, ...] = ()
    inputs: tuple[str, ...] = ()  # those that got other values


# -- what others say: each of these raises a ValueError for what nobody of us would say --------------------------------

# Beyond anything that is measured or counted.
_MOST = 1 << 53
# The years 1 to 9999 but for a day at either end, so that every time zone has these moments.
_FIRST_MOMENT, _LAST_MOMENT = -62_135_510_400, 253_402_214_400


def check_moments(*numbers: object) -> None:
    for number in numbers:
        if (type(number) is not float and type(number) is not int) or not _FIRST_MOMENT <= number <= _LAST_MOMENT:
            raise ValueError(f"no calendar has {number!r:.40}")


def check_amounts(*numbers: object) -> None:
    for number in numbers:
        if (type(number) is not float and type(number) is not int) or not -_MOST < number < _MOST:
            raise ValueError(f"a process measures no {number!r:.40}")


def check_counts(*numbers: object) -> None:
    for number in numbers:
        if type(number) is not int or not 0 <= number < _MOST:
            raise ValueError(f"a process counts no {number!r:.40}")


def check_flags(*flags: object) -> None:
    for flag in flags:
        if type(flag) is not bool:
            raise ValueError(f"{flag!r:.40} is neither true nor false")


def as_text(word: object) -> str:
    if type(word) is not str:
        raise ValueError(f"a process says no {word!r:.40}")
    if not word.isascii():
        word.encode()  # half a character can be written down nowhere
    return word


def as_text_or_none(word: object) -> str | None:
    return None if word is None else as_text(word)


def as_output(name: object, digest: object, size: int) -> tuple[str, str, int]:
    check_counts(size)
    return as_text(name), as_text(digest), size


def as_error(raw: dict[str, Any], node: str | None, attempt: int | None) -> ErrorRecord:
    permanent, exit_code = raw.get("permanent", False), raw.get("exit_code")
    check_flags(permanent)
    if exit_code is not None:
        check_counts(exit_code)
    return ErrorRecord(
        code=as_text(raw["code"]),
        error_type=as_text(raw["error_type"]),
        message=as_text(raw["message"]),
        node_id=node,
        traceback=as_text_or_none(raw.get("traceback")),
        exit_code=exit_code,
        attempt=attempt,
        types=tuple([as_text(name) for name in raw["types"]]),
        permanent=permanent,
        exception=as_text_or_none(raw.get("exception")),
    )
