"""What a worker said is acknowledged when it is written, and not before; the broker's messages are doubles."""

from __future__ import annotations

from kombu.message import Message

from twingraph.dispatch.celery.owing import Owing


class Book:
    def __init__(self) -> None:
        self.acknowledged: list[Message] = []
        self.owing = Owing(self.acknowledged.append)


def test_nothing_is_owed_for_what_is_not_journaled() -> None:
    book, message = Book(), Message()
    book.owing.heard(("w", 1), message)
    assert book.acknowledged == [message]


def test_it_is_acknowledged_when_all_executions_that_it_is_about_are_written() -> None:
    book, both, other = Book(), Message(), Message()
    book.owing.heard(("w", 1), both, ["a", "b"])
    book.owing.heard(("w", 2), other, ["b"])
    book.owing.committed({"a"})
    assert book.acknowledged == [other]
    book.owing.committed(set())
    book.owing.committed(set())
    assert book.acknowledged == [other, both]


def test_what_comes_again_before_the_commit_is_acknowledged_with_it() -> None:
    """The connection broke meanwhile; by the old one nothing can be said any more."""
    book, first, again, late = Book(), Message(), Message(), Message()
    book.owing.heard(("w", 1), first, ["a"])
    book.owing.heard(("w", 1), again)
    book.owing.committed({"a"})
    assert book.acknowledged == []
    book.owing.committed({"b"})
    assert book.acknowledged == [first, again]
    book.owing.heard(("w", 1), late)
    assert book.acknowledged == [first, again, late]
