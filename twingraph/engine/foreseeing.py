"""What a drawn workflow would find in the cache: its kernel is led through what needs no run, and nothing is begun.

A node whose outcome is known gives it, so that the nodes after it can be asked for too. What depends on a node that
would run is not known before it has.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from twingraph.core.caching import policy_of
from twingraph.core.events import CacheAnswered, Event
from twingraph.core.execution import CacheStory
from twingraph.engine.beginning import first_events
from twingraph.engine.cached_work import Unusable, check_age, describe, hit
from twingraph.engine.explaining import Answers, Explaining, Past
from twingraph.engine.held import Submission
from twingraph.engine.kernel import State, apply, commands
from twingraph.engine.values import Values
from twingraph.store.base import Records
from twingraph.store.blobs.base import BlobStore


def foresee(records: Records, blobs: BlobStore, submission: Submission) -> Mapping[str, CacheStory]:
    """By node, as far as it is known now."""
    return _Foreseeing(records, blobs, submission).stories()


class _Foreseeing:
    def __init__(self, records: Records, blobs: BlobStore, submission: Submission) -> None:
        self._records = records
        self._blobs = blobs
        self._submission = submission
        self._state = State(submission.id)
        self._values = Values(self._state, lambda seq: None, blobs)
        self._answers = Answers()
        self._now = time.time()
        self._seq = 0
        self._asked: deque[str] = deque()

    def stories(self) -> Mapping[str, CacheStory]:
        for event, data in first_events(self._submission):
            self._take(event, None if data is None else data.split("\n"))
        here = Past(self._state, self._values, self._submission.code_version)
        explaining = Explaining(self._records, self._blobs, here, self._answers)
        found: dict[str, CacheStory] = {}
        while self._asked:
            name = self._asked.popleft()
            self._answer(name)
            node = self._state.nodes[name]
            assert node.spec is not None
            if policy_of(self._state.specs[node.spec].cache).function is not None:
                found[name] = CacheStory(verdict="unknown", why="a function says its key, which is called when it runs")
                continue
            story = explaining.story(node, deep=True)
            if story is not None:
                found[name] = story
        return found

    def _take(self, event: Event, lines: Sequence[str] | None) -> None:
        self._seq += 1
        if lines is not None:
            self._values.keep(self._seq, tuple(lines))
        self._answers.take(event, self._now)
        for command in apply(self._state, event, self._now, self._seq):
            if isinstance(command, commands.AskCache):
                self._asked.append(command.node)

    def _answer(self, name: str) -> None:
        state, node = self._state, self._state.nodes[name]
        wanted = describe(state, self._values, node, self._submission.workflow_id)
        outcome = None
        if wanted is not None:
            outcome = self._records.find_cached(wanted.scope, wanted.key, begun_after=0.0, done_after=0.0)
        why = None
        if wanted is not None and outcome is not None:
            try:
                check_age(wanted.policy, outcome, self._now)
                self._take(*hit(self._submission.code, node, outcome, self._blobs))
                return
            except Unusable as error:
                why = str(error)
        self._take(CacheAnswered(name, "miss", why), None)
