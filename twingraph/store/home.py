"""The home folder: where an embedded TwinGraph keeps everything. Several processes share it at once.

<home>/twingraph.db   the journal and all other records
<home>/blobs/         values and code by content
<home>/run/           one lock file per living conductor: the proof that it lives
<home>/home.lock      held shared by every user of the home, alone by who creates or migrates it
<home>/secret.key     signs pickled values
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from twingraph.core.errors import HomeError
from twingraph.store.locks import FileLock, is_held

DAY = 86_400.0

# File systems on which neither locks nor shared memory can be trusted between machines.
_NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "glusterfs",
    "lustre",
    "ceph",
    "fuse.sshfs",
    "fuse.s3fs",
    "9p",
)


class Home:
    """A home that exists and may be used. Keep it open as long as anything in it is used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / "home.lock")

    @property
    def database(self) -> Path:
        return self.path / "twingraph.db"

    @property
    def blobs(self) -> Path:
        return self.path / "blobs"

    @property
    def run(self) -> Path:
        return self.path / "run"

    def open(self) -> Home:
        """Make the folders, refuse what cannot work, and hold the home's shared lock."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.blobs, self.run):
                folder.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise HomeError(
                f"{error.filename} is a file, not a folder; move it away or point TWINGRAPH_HOME at a folder"
            ) from error
        except OSError as error:
            raise HomeError(
                f"the home folder {self.path} cannot be created: {error.strerror}; "
                "point TWINGRAPH_HOME at a folder that you may write to"
            ) from error
        self._refuse_network()
        try:
            self._lock.take(shared=True)
        except OSError as error:
            raise HomeError(
                f"the home folder {self.path} cannot be written: {error.strerror}; "
                "make it writable or point TWINGRAPH_HOME elsewhere"
            ) from error
        self._sweep()
        return self

    def close(self) -> None:
        self._lock.release()

    def alone(self) -> FileLock:
        """A lock that is free only while nobody else uses the home; ours is let go for the asking."""
        self._lock.release()
        return FileLock(self.path / "home.lock")

    def secret(self) -> bytes:
        """The key that signs pickled values; made once, whoever comes first."""
        path = self.path / "secret.key"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            pass
        fresh = path.with_name(f"secret.{os.getpid()}.{os.urandom(4).hex()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
        try:
            os.link(fresh, path)  # fails when another process was first; never replaces its key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_bytes()

    def conductor_lives(self, conductor: str) -> bool:
        return is_held(self.run / f"{conductor}.lock")

    def _sweep(self) -> None:
        """Forget conductors that were killed long ago. A young file may be of one that is just about to lock it."""
        for entry in os.scandir(self.run):
            with suppress(OSError):  # another process sweeps too
                if time.time() - entry.stat().st_mtime > DAY and not is_held(Path(entry.path)):
                    os.unlink(entry.path)

    def _refuse_network(self) -> None:
        kind = file_system(os.path.realpath(self.path), _mounts())
        if kind in _NETWORK:
            raise HomeError(
                f"the home folder {self.path} lies on {kind}, a network file system, where its database would be "
                "damaged; point TWINGRAPH_HOME at a local disk"
            )


def _mounts() -> str:
    """What is mounted where, as far as the system tells (Linux)."""
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def file_system(path: str, mounts: str) -> str | None:
    """The kind of file system that holds this real path: the innermost mount counts, and of several the last."""
    best, kind = "", None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount = fields[1].replace("\\040", " ")
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind
