"""The images that tests need, made from what the machine has: nothing is pulled.

`python:X` holds the Python X of this machine, on the libraries of Debian's own; `twingraph-test:tiny` is a shell
without any Python.
"""

import glob
import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from tools.pythons import find
from tools.services.base import ServiceError, run
from tools.services.places import say

TINY = "twingraph-test:tiny"
SYSTEM = "twingraph-test:system"  # Debian with its own Python
# The reference document's example runs on 3.9; the runner promises 3.8 and everything newer.
PYTHONS = ((3, 8), (3, 9), (3, 13))
BASE = "debian-1"  # another name is another content
DEBS = (
    *("python3", "dash", "bash", "coreutils", "grep", "sed", "findutils", "hostname", "base-files", "base-passwd"),
    *("netbase", "libc-bin"),
)
LEFT_OUT = ("test", "idlelib", "__pycache__", "*.a", "site-packages/*", "ensurepip", "lib2to3")
SURROUNDINGS = (
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LD_LIBRARY_PATH=/usr/local/lib",
    "ENV LANG=C.UTF-8",
)
# An image of another edition is made anew.
EDITION = "2"
PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.base_prefix)"


def tag_of(version: Tuple[int, int]) -> str:
    return "python:{}.{}".format(*version)


def make(surroundings: Dict[str, str], programs: Path) -> None:
    """Every image that the engine lacks. A Python that this machine does not have gives none."""
    engine = _Engine(surroundings)
    if not engine.has(TINY):
        with_shell = _tiny(programs)
        engine.take(TINY, ["tar", "-C", str(with_shell), "-c", "."], "ENV PATH=/bin")
    base: Optional[Path] = None
    for version in (None, *PYTHONS):
        tag = SYSTEM if version is None else tag_of(version)
        if engine.has(tag):
            continue
        words: List[str] = []
        if version is not None:
            place = _prefix(version)
            if place is None:
                continue
            words = [*(f"--exclude={one}" for one in LEFT_OUT), f"--transform=s,^{place.name},usr/local,", "-C"]
            words += [str(place.parent), place.name]
        base = base or _debian(programs)
        engine.take(tag, ["tar", "-c", "-C", str(base), ".", *words], *SURROUNDINGS)


class _Engine:
    def __init__(self, surroundings: Dict[str, str]) -> None:
        self._surroundings = {**os.environ, **surroundings}
        self._docker = shutil.which("docker", path="/usr/bin:/bin") or "docker"

    def has(self, tag: str) -> bool:
        form = '{{index .Config.Labels "twingraph.edition"}}'
        ask = [self._docker, "image", "inspect", "--format", form, tag]
        told = subprocess.run(ask, env=self._surroundings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return told.returncode == 0 and told.stdout.decode().strip() == EDITION

    def take(self, tag: str, tar: List[str], *changes: str) -> None:
        say(f"making the image {tag}")
        labels = f"LABEL twingraph.edition={EDITION}"
        words = [word for change in (*changes, labels) for word in ("--change", change)]
        packing = subprocess.Popen(tar, stdout=subprocess.PIPE)
        try:
            run(
                [self._docker, "import", *words, "-", tag],
                f"making the image {tag}",
                env=self._surroundings,
                stdin=packing.stdout,
            )
        finally:
            assert packing.stdout is not None
            packing.stdout.close()
            packed = packing.wait()
        if packed != 0:
            raise ServiceError(f"making the image {tag} failed: tar ended with {packed}")


def _prefix(version: Tuple[int, int]) -> Optional[Path]:
    """Where this Python lies, in a folder of its own that can be packed."""
    python = find(version, PROBE)
    if python is None:
        return None
    place = Path(python.path)
    return place if (place / "bin" / "python3").exists() and len(place.parts) > 3 else None


def _tiny(programs: Path) -> Path:
    place = programs / "busybox-1"
    if not (place / "complete").exists():
        shutil.rmtree(str(place), ignore_errors=True)
        for folder in ("bin", "tmp", "etc", "root", "proc", "sys", "dev"):
            (place / folder).mkdir(parents=True)
        (place / "tmp").chmod(0o1777)
        shutil.copy("/bin/busybox", str(place / "bin"))
        applets = subprocess.run(["/bin/busybox", "--list"], stdout=subprocess.PIPE).stdout.decode().split()
        for applet in applets:
            if applet != "busybox":
                (place / "bin" / applet).symlink_to("busybox")
        (place / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (place / "etc" / "group").write_text("root:x:0:\n")
        (place / "complete").touch()
    return place


def _debian(programs: Path) -> Path:
    """The closure of packages around Debian's Python, unpacked; none of their scripts runs."""
    place = programs / BASE
    if (place / "complete").exists():
        return place / "root"
    say("unpacking the packages that images are made of, once")
    shutil.rmtree(str(place), ignore_errors=True)
    root, kept = place / "root", place / "debs"
    (kept / "partial").mkdir(parents=True)
    (place / "status").touch()
    if not glob.glob("/var/lib/apt/lists/*_Packages*"):
        run(["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq", "update"], "looking for packages")
    options = {
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
        "Dir::State::status": str(place / "status"),
        "Dir::Cache::archives": str(kept),
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
    }
    apt = ["apt-get", "-qq", "-y", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    run([*apt, "--no-install-recommends", "--download-only", "install", *DEBS], "fetching the packages of images")
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for package in sorted(kept.glob("*.deb")):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as opened:
            run(["tar", "-C", str(root), "-x", "--keep-directory-symlink"], "unpacking", stdin=opened.stdout)
    for name in ("passwd", "group"):
        shutil.copy(str(root / "usr/share/base-passwd" / f"{name}.master"), str(root / "etc" / name))
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("dash")
    run(["chroot", str(root), "/sbin/ldconfig"], "joining libraries")
    for name in ("doc", "man", "locale", "info", "lintian", "bash-completion"):
        shutil.rmtree(str(root / "usr/share" / name), ignore_errors=True)
    shutil.rmtree(str(kept), ignore_errors=True)
    (place / "complete").touch()
    return root
