"""Code versions: packed from live objects, recorded, and found again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twingraph.core.caching import with_hash
from twingraph.core.errors import NotFoundError
from twingraph.core.plan import Plan
from twingraph.dispatch.base import CodeRef
from twingraph.engine import code as code_versions
from twingraph.store.base import Store
from twingraph.store.blobs.base import BlobStore

if TYPE_CHECKING:
    from twingraph.sdk.packing import Packed


STORED_SECONDS = 3600.0


class CodeBook:
    """The code versions of one store that this process has to do with. Any thread."""

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs
        self._known: dict[str, CodeRef] = {}
        self._stored: dict[bytes, float] = {}  # when a bundle was put last
        # Running the same workflow again in one process slices nothing anew while its files stand as they were.
        self._packed: dict[tuple[Any, ...], tuple[Packed, tuple[str, CodeRef]]] = {}

    def pack(
        self, objects: Mapping[str, Any], sources: Mapping[str, str], bodies: Mapping[str, Any] | None = None
    ) -> tuple[str | None, CodeRef | None, Mapping[str, str]]:
        """The code version, where its bundles are, and the hash of each entry."""
        if not objects and not sources and not bodies:
            return None, None, {}
        from twingraph.sdk import packing

        key = (*packing.key_of(objects, sources, bodies), os.getcwd(), tuple(sys.path))
        known = self._packed.get(key)
        if known is not None and known[0].is_fresh():
            self._stay_stored(known[0])
            return *known[1], known[0].hashes
        packed = packing.pack_pipeline(objects, sources, bodies) if bodies else packing.pack(objects, sources)
        body = self._blobs.put(packed.body) if packed.body else None
        described = code_versions.describe(self._blobs.put(packed.data), self._blobs, packed.packages, body)
        self._packed[key] = packed, described
        self._stored[packed.data] = time.monotonic()
        return *described, packed.hashes

    def _stay_stored(self, packed: Packed) -> None:
        """A process that lives for days must not count on bundles that it put long ago: prune may have been there."""
        now = time.monotonic()
        if now - self._stored.get(packed.data, 0.0) > STORED_SECONDS:
            for bundle in (packed.data, packed.body):
                if bundle:
                    self._blobs.put(bundle)
            self._stored[packed.data] = now

    def pack_late(self, objects: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
        """Record what a body calls and nobody could see before. Called on threads of bodies."""
        version, reference, hashes = self.pack(objects, {})
        assert version is not None
        assert reference is not None
        self._keep(version, reference)
        return version, hashes

    def keep_beside(self, execution: str, code: CodeRef, bundle: str, packages: Sequence[str]) -> str:
        """What a body in another process calls and nobody could see before."""
        version, reference = code_versions.beside(code, bundle, self._blobs, packages)
        self._keep(version, reference)
        return version

    def _keep(self, version: str, reference: CodeRef) -> None:
        journal = self._store.journal()
        try:
            journal.keep_code(version, code_versions.body(reference), time.time())
        finally:
            journal.close()
        self._known[version] = reference

    def code_of(self, version: str) -> CodeRef:
        """The recorded code, checked to be usable here. Called on the conductor's thread or the caller's."""
        known = self._known.get(version)
        if known is None:
            journal = self._store.journal()
            try:
                body = journal.code(version)
            finally:
                journal.close()
            if body is None:
                raise NotFoundError(f"the code version {version[:12]} is not in {self._store.place}")
            known = code_versions.reference(version, body, self._blobs)
            code_versions.check_packages(known)
            self._known[version] = known
        return known


def with_hashes(plan: Plan, hashes: Mapping[str, str]) -> Plan:
    """The plan with the hash of the code behind each of its specs."""
    specs = (
        replace(spec, code_hash=hashes.get(spec.entry or ""), cache=with_hash(spec.cache, hashes.get))
        for spec in plan.specs
    )
    return replace(plan, specs=tuple(specs))
