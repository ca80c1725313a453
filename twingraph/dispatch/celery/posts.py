"""What a conductor says to one worker about processes of bodies there, as JSON text. Pure, as `messages` is.

It goes to the worker's own queue, in order. Each such process is a session, named by its conductor; a session belongs
to one desk, and what is said in it is numbered from 1, so that a repetition is known and a gap ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twingraph.core.recordclass import recordclass
from twingraph.dispatch.celery.messages import VERSION, UnreadableError, read_text, text_of

POST = "post"


def post_name(worker: str) -> str:
    """The queue of a worker. What is signed for one is worth nothing at another."""
    return f"twingraph.post.{worker}"


@recordclass
class Open:
    """Start a process for this code; nothing is said to it before it has said that it is there."""

    session: str
    place: str
    key: str
    version: str
    description: str


@recordclass(kw_only=False)
class Say:
    """Messages for the process itself."""

    session: str
    number: int
    said: Sequence[Any]


@recordclass(kw_only=False)
class More:
    """What the process has said was taken in up to this number."""

    session: str
    number: int


@recordclass(kw_only=False)
class End:
    """The process is not needed any more; nobody wants to hear of its end."""

    session: str


@recordclass(kw_only=False)
class Here:
    """The conductor is there, and has these sessions with this worker; with each the number of what was said to it
    last, and the number up to which what it said was taken in: a `More` may have been lost."""

    sessions: Mapping[str, tuple[int, int]]


Post = Open | Say | More | End | Here


def post_text(desk: str, posts: Sequence[Post]) -> str:
    return text_of({"v": VERSION, "desk": desk, "posts": [_listed(post) for post in posts]})


def posts_of(text: str) -> tuple[str, list[Post]]:
    return read_text(text, lambda raw: (str(raw["desk"]), [_post_of(*entry) for entry in raw["posts"]]))


def _listed(post: Post) -> list[Any]:
    if isinstance(post, Say):
        return ["say", post.session, post.number, list(post.said)]
    if isinstance(post, Open):
        return ["open", post.session, post.place, post.key, post.version, post.description]
    if isinstance(post, End):
        return ["end", post.session]
    if isinstance(post, More):
        return ["more", post.session, post.number]
    return ["here", dict(post.sessions)]


def _post_of(kind: str, *parts: Any) -> Post:
    if kind == "say":
        session, number, said = parts
        return Say(str(session), int(number), list(said))
    if kind == "open":
        session, place, key, version, description = map(str, parts)
        return Open(session=session, place=place, key=key, version=version, description=description)
    if kind == "end":
        return End(*map(str, parts))
    if kind == "here":
        (sessions,) = parts
        return Here({str(session): (int(said_to), int(taken_to)) for session, (said_to, taken_to) in sessions.items()})
    if kind == "more":
        session, number = parts
        return More(str(session), int(number))
    raise UnreadableError(f"a post of the unknown kind {kind!r:.20}")
