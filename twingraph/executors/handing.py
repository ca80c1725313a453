"""What a generator yields, handed over while it still runs. Python 3.8 syntax."""

from __future__ import annotations

import threading
from typing import Any, Callable, Sequence, Tuple

from twingraph.core.codec_join import Joined
from twingraph.executors.context import RealClock

# A quick generator's items travel together: after the first, so long is gathered.
GATHER_SECONDS = 0.02

Encode = Callable[[Any, str], Tuple[str, str, int]]


class Handing:
    """The items of one run. `send(start, texts)` is called in their order, by whichever thread has them to send.

    What is due while the generator is busy with the next item is sent by a thread, which only a generator needs that
    yields again within GATHER_SECONDS.
    """

    def __init__(
        self, encode: Encode, send: Callable[[int, Sequence[str]], None], blobs: Any, gather: float = GATHER_SECONDS
    ) -> None:
        self._gather = gather
        self._encode = encode
        self._send = send
        self._joined = Joined(blobs)
        self._sent = 0
        self._sent_at = 0.0  # by the monotonic clock
        self._wake: threading.Event | None = None
        self._over = False
        self._lock = threading.Lock()

    def give(self, item: Any) -> None:
        """The next item. Raises when it cannot be encoded."""
        texts = self._joined.texts
        text, _, size = self._encode(item, f"output[{len(texts)}]")
        self._joined.add(text, size)
        if self._sent and RealClock.steady() - self._sent_at < self._gather:
            self._later()
        else:
            self._hand_over()

    def whole(self) -> tuple[str, str, int]:
        """The list of all items, encoded."""
        return self._joined.encoded()

    def finish(self) -> None:
        """The generator is over, in whatever way: what was gathered is sent, and no more."""
        self._over = True
        self._hand_over()
        if self._wake is not None:
            self._wake.set()

    def in_child(self) -> None:
        """After a fork: the thread stayed behind, and it may have held a lock."""
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def _hand_over(self, only_if_due: bool = False) -> float:
        """Send what was gathered. The seconds until it is due; 0: it was sent."""
        with self._lock:
            now = RealClock.steady()
            left = self._sent_at + self._gather - now
            if only_if_due and left > 0:
                return left
            texts = self._joined.texts[self._sent :]
            if texts:
                start, self._sent = self._sent, self._sent + len(texts)
                self._sent_at = now
                self._send(start, texts)
        return 0.0

    def _later(self) -> None:
        if self._wake is None:
            self._wake = threading.Event()
            threading.Thread(target=self._send_what_is_due, name="twingraph-items", daemon=True).start()
        if not self._wake.is_set():
            self._wake.set()

    def _send_what_is_due(self) -> None:
        assert self._wake is not None
        while not self._over:
            self._wake.wait()
            self._wake.clear()
            while (left := self._hand_over(only_if_due=True)) > 0 and not self._over:  # a quick generator sends itself
                RealClock.sleep(left)
