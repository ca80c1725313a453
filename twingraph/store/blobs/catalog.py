"""From the address of a blob store to the store; what a kind needs is imported when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from twingraph.store.blobs.base import BlobStore
from twingraph.store.blobs.local import LocalBlobs, LocalBlobsOptions


def open_blobs(address: str, *, sync: bool = False) -> BlobStore:
    """The store at an address, or the blobs of a home when it is the path of one.

    `sync`: each put waits for the disk. Raises ValueError for what is no address, MissingExtraError without `boto3`.
    """
    options = LocalBlobsOptions(sync=sync)
    if "://" not in address:
        return LocalBlobs(Path(address), options)
    from twingraph.store.blobs.address import folder_of, s3_options

    if not address.startswith("s3:"):
        return LocalBlobs(None, options, folder=folder_of(address))
    from twingraph.store.blobs.s3 import S3Blobs

    return S3Blobs(s3_options(address))
