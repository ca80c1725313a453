"""Bytes by the hash of their content. What they mean, and when they may go, is decided elsewhere."""

from twingraph.store.blobs.base import BlobInfo, BlobStore, BlobWriter

__all__ = ["BlobInfo", "BlobStore", "BlobWriter"]
