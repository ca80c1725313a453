"""Runs that go one after another in a worker process, and what the pool keeps about each."""

from __future__ import annotations

from typing import NamedTuple

from twingraph.core.events import OutputMeta
from twingraph.core.records import ErrorRecord
from twingraph.dispatch.base import Lane, NodeRun, Outcome
from twingraph.executors.marks import Marks


class Doom(NamedTuple):
    """Why we ended a run, and the ending that it gets."""

    number: int
    status: str
    error: ErrorRecord


class Held:
    """A run in a worker's hands. `wish`: what becomes of it if it has not begun: 'return', 'cancel' or None."""

    __slots__ = (
        "accused",
        "announced",
        "doom",
        "doomed_at",
        "heard",
        "lane",
        "lines",
        "outputs",
        "peak",
        "run",
        "said",
        "strand",
        "texts",
        "wish",
    )

    def __init__(self, lane: Lane, run: NodeRun, strand: Strand | None = None) -> None:
        self.lane = lane
        self.run = run
        self.strand = strand  # where it goes beside others
        self.wish: str | None = None
        self.announced = False
        self.accused = False  # of keeping the loop for itself
        self.peak = 0
        self.heard = 0  # records of what it said
        self.said = 0  # characters that came from below,
        self.lines = 0  # in so many lines
        self.doom: Doom | None = None  # it was asked to end
        self.doomed_at = 0.0
        self.outputs: list[OutputMeta] | None = None  # of very many, those that have come before its ending,
        self.texts: list[str] = []  # and what they say

    def gave(self, outputs: list[OutputMeta], texts: list[str]) -> None:
        """Some of very many outputs."""
        if self.outputs is None:
            self.outputs, self.texts = outputs, texts
        else:
            self.outputs += outputs
            self.texts += texts

    def complete(self, outcome: Outcome) -> None:
        """With those that came before."""
        if self.outputs is not None:
            outcome.outputs = [*self.outputs, *outcome.outputs]
            outcome.texts = [*self.texts, *outcome.texts]


class Strand:
    """All runs of a process, or those of one lane among others that it has open. `block`: where its marks are."""

    __slots__ = ("block", "marks", "pending", "recalling")

    def __init__(self, block: int, marks: Marks, pending: dict[int, Held]) -> None:
        self.block = block
        self.marks = marks
        self.pending = pending
        self.recalling = False

    def current(self) -> tuple[int, Held] | None:
        number = self.marks.begun
        held = self.pending.get(number)
        return None if held is None else (number, held)
