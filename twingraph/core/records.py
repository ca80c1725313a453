"""The records that the engine's hot path needs of an execution: what bounds it, how something in it failed, and what it
does otherwise than the execution that it replays."""

from __future__ import annotations

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
