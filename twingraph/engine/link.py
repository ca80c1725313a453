"""How hosts in this process reach the conductor, and the executions whose bodies they run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from twingraph.core.bodies import BodyLog, Host
from twingraph.core.errors import TwinGraphError
from twingraph.core.events import Event, GraphExtended
from twingraph.core.plan import NodeSpec
from twingraph.engine.driving import Apply, Driving
from twingraph.engine.held import Held, Submission
from twingraph.engine.kernel import Node, State, commands
from twingraph.engine.sizes import USUAL
from twingraph.engine.values import Values
from twingraph.store.base import LogRow

if TYPE_CHECKING:  # of replays only
    from twingraph.engine.foretelling import Foretold

# How many words are heard before it is the turn of others.
WORDS_AT_ONCE = 250
# The same of characters in their arguments: what is longer is in the store.
CHARACTERS_AT_ONCE = 500_000
# A body waits so long for room at most: whatever keeps the conductor, the body is not the one to suffer.
PATIENCE_SECONDS = 10.0

# By and by: a node may have very many parents.
HashOf = Callable[[State, Values, Node], Generator[None, None, str | None]]


class Fed(NamedTuple):
    execution: str
    event: Event
    lines: Sequence[str] | None
    specs: Sequence[NodeSpec]


class Asked(NamedTuple):
    execution: str
    scope: str
    number: int
    what: str
    about: str


class Reopened(NamedTuple):
    execution: str
    scope: str


class Logged(NamedTuple):
    execution: str
    lines: Sequence[BodyLog]


class Heard(NamedTuple):
    """Whatever was said before this was said to a conductor that has let go of the execution since."""

    execution: str


Word = Fed | Asked | Reopened | Logged | Heard


class LoopLink:
    """A `core.bodies.Link`: takes what hosts say on any thread to the conductor's loop, one hop for all that waits."""

    def __init__(self, poke: Callable[[Callable[[], None]], None], waiting: int = USUAL.words_waiting) -> None:
        self._poke = poke
        self._waiting = waiting
        self._words: deque[Word] = deque()
        self._poked = False
        self._room = threading.Condition()
        self._closed = False
        self._listener = threading.get_ident()
        self.hear: Callable[[list[Word]], None] = lambda words: None

    def feed(self, execution: str, event: Event, lines: Sequence[str] | None, specs: Sequence[NodeSpec] = ()) -> None:
        word = Fed(execution, event, lines, specs)
        if type(event) is not GraphExtended:
            self.say(word)
        elif not event.nodes:
            self._words.append(word)  # specs alone; the call that needs them follows
        else:
            if self.crowded and threading.get_ident() != self._listener:
                self._wait_for_room()
            self.say(word)

    def ask(self, execution: str, scope: str, number: int, what: str, about: str) -> None:
        self.say(Asked(execution, scope, number, what, about))

    def reopen(self, execution: str, scope: str) -> None:
        self.say(Reopened(execution, scope))

    def log(self, execution: str, lines: Sequence[BodyLog]) -> None:
        self.say(Logged(execution, lines))

    def ask_loop(self, act: Callable[[], None]) -> None:
        """Any thread: have this done where the conductor works, as long as it does."""
        self._poke(act)

    def say(self, word: Word) -> None:
        self._words.append(word)
        if not self._poked:  # a second poke does no harm, a missing one would: the flag falls before words are taken
            self._poked = True
            self._poke(self._drain)

    def _drain(self) -> None:
        """So much at a time: a body that makes a hundred thousand calls at once must not keep others waiting."""
        self._poked = False
        words = self._words
        crowded = self.crowded
        said: list[Word] = []
        size = 0
        while words and len(said) < WORDS_AT_ONCE and size < CHARACTERS_AT_ONCE:
            said.append(words.popleft())
            size += _size(said[-1])
        self.hear(said)
        if words and not self._poked:
            self._poked = True
            self._poke(self._drain)
        if crowded:
            with self._room:
                self._room.notify_all()

    @property
    def crowded(self) -> bool:
        """Far more was said than heard."""
        return len(self._words) >= self._waiting

    def _wait_for_room(self) -> None:
        """A body that is far ahead waits, so that what is not heard yet does not fill the memory."""
        with self._room:
            self._room.wait_for(lambda: not self.crowded or self._closed, PATIENCE_SECONDS)

    def listen(self) -> None:
        """It is this thread that hears, which must never wait for itself."""
        self._listener = threading.get_ident()

    def close(self) -> None:
        """Nobody listens any more."""
        with self._room:
            self._closed = True
            self._room.notify_all()


class Bodies:
    """The executions of one conductor that bodies drive. Everything but `link` belongs to the conductor's loop."""

    def __init__(
        self,
        link: LoopLink,
        *,
        apply: Apply,
        about: Callable[[Held, Callable[[], None]], None],
        in_moments: Callable[[Held, Iterator[None]], None],
        wrote: Callable[[Held], None],
        soon: Callable[[Callable[[], None]], object],
        hash_of: HashOf | None = None,
    ) -> None:
        self.link = link
        link.hear = self._hear
        self._apply = apply
        self._about = about
        self._in_moments = in_moments
        self._wrote = wrote
        self._soon = soon
        self._hash_of = hash_of
        self._driven: dict[str, Driving] = {}
        self._foretold: dict[str, Foretold] = {}  # until their bodies are to run
        self._deaf: dict[str, int] = {}
        self._telling = False

    def foretell(self, held: Held, submission: Submission, host: Host) -> Iterator[None]:
        """Let the body of an execution that is not recorded yet hear what it begins with, by and by."""
        from twingraph.engine.foretelling import Foretold

        foretold = self._foretold[submission.id] = Foretold(submission, host)
        return foretold.telling(held)

    def comparing(self, held: Held) -> Iterator[None]:
        """Whether what such a body was told is how it has begun."""
        if (foretold := self._foretold.get(held.state.execution)) is not None:
            yield from foretold.comparing(held.state.root)

    def forget(self, execution: str, host: Host | None) -> None:
        """Nothing has come of it."""
        if self._foretold.pop(execution, None) is not None and host is not None:
            host.stop(execution, "it was not recorded")

    def end(self) -> None:
        """Of those that have not begun nothing comes any more."""
        for foretold in self._foretold.values():
            foretold.stop("its conductor has ended")
        self._foretold.clear()

    def drive(self, held: Held, host: Host) -> None:
        """From now on this host runs the bodies of the execution."""
        self._driven[held.state.execution] = Driving(held, host, self._apply)

    def let_go(self, execution: str, why: str) -> None:
        """Its bodies end. What they have said and is not heard yet means nothing to whoever drives it next."""
        driving = self._driven.pop(execution, None)
        self._foretold.pop(execution, None)
        if driving is not None:
            driving.stop(why)
            self._deaf[execution] = self._deaf.get(execution, 0) + 1
            self.link.say(Heard(execution))

    # -- commands of the kernel ------------------------------------------------------------------

    def start(self, execution: str, scope: str) -> None:
        if (driving := self._driven.get(execution)) is not None:
            foretold = None if scope else self._foretold.pop(execution, None)
            if foretold is not None:
                driving.extend("", [(GraphExtended((), driven=True), specs) for specs in foretold.specs])
            driving.open(scope, foretold)
            self.tell_soon()

    def give_up(self, execution: str, scope: str) -> None:
        if (driving := self._driven.get(execution)) is not None:
            driving.give_up(scope)

    def wake(self, execution: str, scope: str, node: str) -> None:
        if (driving := self._driven.get(execution)) is not None:
            driving.woke(scope, node)

    def give(self, execution: str, command: commands.PassItems) -> None:
        if (driving := self._driven.get(execution)) is not None:
            driving.passed(command)

    # -- history, a page at a time -----------------------------------------------------------------

    def tell_soon(self) -> None:
        """Called whenever there may be something to tell: a body was opened, or a commit is through."""
        if not self._telling and any(driving.telling for driving in self._driven.values()):
            self._telling = True
            self._soon(self._tell)

    def _tell(self) -> None:
        self._telling = False
        driving = next((driving for driving in self._driven.values() if driving.telling), None)
        if driving is not None:
            execution = driving.held.state.execution
            self._driven[execution] = self._driven.pop(execution)  # the others first next time
            self._about(driving.held, driving.tell)
            self.tell_soon()

    # -- words of the hosts ------------------------------------------------------------------------

    def _hear(self, words: list[Word]) -> None:
        position = 0
        while position < len(words):
            word = words[position]
            end = position + 1
            if isinstance(word, Heard):
                self._heard(word.execution)
            elif word.execution in self._deaf:
                pass
            elif (foretold := self._foretold.get(word.execution)) is not None:
                _heard_early(foretold, word)
            elif (driving := self._driven.get(word.execution)) is not None:
                if (joined := _joined(words, position)) is not None:
                    end, path, said = joined
                    self._about(driving.held, lambda d=driving, p=path, s=said: d.extend(p, s))  # type: ignore[misc]
                else:
                    self._about(driving.held, lambda d=driving, w=word: self._take(d, w))  # type: ignore[misc]
            position = end

    def _heard(self, execution: str) -> None:
        left = self._deaf.pop(execution) - 1
        if left:
            self._deaf[execution] = left

    def _take(self, driving: Driving, word: Word) -> None:
        if isinstance(word, Fed):
            driving.take(word.event, word.lines)
        elif isinstance(word, Asked):
            self._answer(driving, word)
        elif isinstance(word, Reopened):
            driving.open(word.scope)
            self.tell_soon()
        elif isinstance(word, Logged):
            driving.held.logs.extend(
                LogRow(line.at, line.level, None, None, None, line.stream, line.message) for line in word.lines
            )
            self._wrote(driving.held)

    def _answer(self, driving: Driving, asked: Asked) -> None:
        scope = driving.held.state.scopes.get(asked.scope)
        node = scope.nodes.get(asked.about) if scope is not None else None
        if node is None or asked.what != "hash" or self._hash_of is None:
            driving.answer(asked.scope, asked.number, None)
        else:
            steps = self._hash_of(driving.held.state, driving.held.values, node)
            self._in_moments(driving.held, self._answering(driving, asked, steps))

    def _answering(self, driving: Driving, asked: Asked, steps: Generator[None, None, str | None]) -> Iterator[None]:
        try:
            answer = yield from steps
        except TwinGraphError:  # a value that it is made of is gone
            answer = None
        driving.answer(asked.scope, asked.number, answer)


def _size(word: Word) -> int:
    """About so many characters, where they may be many."""
    if type(word) is not Fed or type(word.event) is not GraphExtended:
        return 0
    size = 0
    for node in word.event.nodes:
        for argument in node.args.values():
            if type(argument[0]) is str:
                size += len(argument[0])
    return size


def _heard_early(foretold: Foretold, word: Word) -> None:
    """Of a body that was told something ahead nothing is expected but the specs that it names."""
    if isinstance(word, Fed):
        foretold.specs.append(word.specs)  # the host has counted them, whatever comes with them
    if not isinstance(word, Fed) or not isinstance(word.event, GraphExtended) or word.event.nodes:
        foretold.spoil()


def _joined(
    words: Sequence[Word], start: int
) -> tuple[int, str, list[tuple[GraphExtended, Sequence[NodeSpec]]]] | None:
    """The calls of one body that stand in a row from here, and where they end; None when here is something else."""
    first = words[start]
    if not isinstance(first, Fed) or not isinstance(first.event, GraphExtended):
        return None
    said: list[tuple[GraphExtended, Sequence[NodeSpec]]] = []
    for position in range(start, len(words)):
        word = words[position]
        if not isinstance(word, Fed) or not isinstance(word.event, GraphExtended):
            break
        if (word.execution, word.event.scope) != (first.execution, first.event.scope):
            break
        said.append((word.event, word.specs))
    return start + len(said), first.event.scope, said
