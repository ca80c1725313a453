"""Who keeps values at an address: each home and each database signs there, so that no prune takes another's away.

A home whose values are in its own folder, as is usual, signs nothing and pays nothing for it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from twingraph.core.errors import ConflictError
from twingraph.core.hashing import content_hash
from twingraph.settings import Settings
from twingraph.store.blobs.base import BlobStore
from twingraph.store.home import Home

if TYPE_CHECKING:
    from twingraph.store.base import Store


def sign(settings: Settings, home: Home, store: Store, blobs: BlobStore) -> None:
    """Called before anything is stored at an address that may be another's too. A note in the home spares asking."""
    user = _user(store)
    note, told = home.path / "blobs.signed", f"{user} {settings.blob_url or ''}\n"
    with suppress(FileNotFoundError):
        if note.read_text(encoding="utf-8") == told:
            return
    blobs.sign(user, _words(settings, store))
    note.write_text(told, encoding="utf-8")


def check_alone(settings: Settings, home: Home, store: Store, blobs: BlobStore) -> None:
    """ConflictError when somebody else keeps values there, which a prune would not know of."""
    where = settings.blob_url or str(home.blobs)
    for user, words in others(store, blobs).items():
        raise ConflictError(
            f"{words} keeps its values at {where} too, and a prune would remove what it needs: give each an address of "
            f"its own (TWINGRAPH_BLOB_URL); when that one is gone for good, delete {blobs.signature(user)}"
        )
    neighbour = _neighbour(settings, home)
    if neighbour is not None:
        raise ConflictError(
            f"{where} is where the records in {neighbour} have their values too, and a prune would remove what they "
            f"need: give these an address of their own (TWINGRAPH_BLOB_URL); when nobody needs the others any more, "
            f"move {neighbour} away"
        )


def others(store: Store, blobs: BlobStore) -> Mapping[str, str]:
    """Who else has signed, in words."""
    return {user: words for user, words in blobs.users().items() if user != _user(store)}


def _user(store: Store) -> str:
    """The name of what all records of a store belong to; says nothing of its key."""
    return content_hash(b"keeps its values here: " + store.secret())[:16]


def _words(settings: Settings, store: Store) -> str:
    return store.place if settings.database_url is not None else f"the home {store.place} on {platform.node()}"


def _neighbour(settings: Settings, home: Home) -> Path | None:
    """The records of a home to whose own folder the address leads, when these are not ours: they sign nothing."""
    from twingraph.store.blobs.address import folder_of

    if settings.blob_url is not None and settings.blob_url.startswith("s3:"):
        return None
    folder = folder_of(settings.blob_url) if settings.blob_url is not None else home.blobs
    records = folder.parent / home.database.name
    ours = settings.database_url is None and folder.parent.resolve() == home.path.resolve()
    return records if folder.name == home.blobs.name and records.exists() and not ours else None
