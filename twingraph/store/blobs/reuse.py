"""Before old values are referred to anew."""

from __future__ import annotations

from collections.abc import Iterable

from twingraph.core import codec
from twingraph.core.errors import CodecError, DamagedError, NotFoundError
from twingraph.store.blobs.base import BlobStore


def may_reuse(texts: Iterable[str], blobs: BlobStore) -> bool:
    """Whether all blobs of these values are there, those inside others too; no prune of the next hours takes them.

    For what is taken over from an execution that may be pruned at this moment, such as the hit of a cache.
    """
    try:
        return all(blobs.refresh(digest) for text in texts for digest in codec.refs(text, blobs=blobs))
    except (CodecError, DamagedError, NotFoundError):
        return False
