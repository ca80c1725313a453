"""Only who has the key is heard, and only for what was signed."""

from __future__ import annotations

import pytest

from twingraph.dispatch.celery.signing import ForgedError, Seal

OURS, THEIRS = Seal(b"our key"), Seal(b"their key")


def test_what_is_signed_with_the_same_key_is_taken() -> None:
    assert Seal(b"our key").check("lane", "text ☺", OURS.sign("lane", "text ☺")) == "text ☺"


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("text", THEIRS.sign("lane", "text")),
        ("text", OURS.sign("wishes", "text")),
        ("texT", OURS.sign("lane", "text")),
        ("text", ""),
        ("text", None),
        ("text", "ö"),
        (b"text", OURS.sign("lane", "text")),
    ],
    ids=["another key", "another purpose", "another text", "empty", "none", "no hash", "bytes"],
)
def test_everything_else_is_refused(text: object, signature: object) -> None:
    with pytest.raises(ForgedError, match="TWINGRAPH_WORKER_KEY"):
        OURS.check("lane", text, signature)


def test_who_has_the_key_can_prove_it_for_a_name_and_a_question() -> None:
    given = Seal(b"our key").proof("w", "question")
    assert OURS.proves("w", "question", given)
    assert not THEIRS.proves("w", "question", given)
    assert not OURS.proves("v", "question", given)
    assert not OURS.proves("w", "another", given)
    assert not OURS.proves("w", "question", OURS.sign("prove", "question"))
    assert not any(OURS.proves("w", "question", nothing) for nothing in (None, "", "ö", 5, b"x"))


def test_a_secret_is_read_with_the_key_alone() -> None:
    secret = bytes(range(100))
    masked = OURS.mask(secret)
    assert Seal(b"our key").unmask(masked) == secret
    assert THEIRS.unmask(masked) != secret
    assert secret.hex() not in masked
    assert OURS.mask(secret) != masked
