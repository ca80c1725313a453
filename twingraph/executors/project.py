"""Whole modules: of a project that travelled, unpacked into a folder, or of what is installed here. Python 3.8.

A process that serves these serves no slices: a pruned module and the whole one of its name would get in each other's
way.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import types
import zipfile
from base64 import b64decode
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from typing import Any

from twingraph.executors.slice_loader import loading, stand_in

_folders: list[str] = []
_locked: set[str] = set()  # what this process uses; its descriptors stay open


class NotThereError(ImportError):
    """Code that was to be there already, and is not."""


def whole(loaded: Any, entry: dict[str, Any]) -> Any:
    """The callable of an entry with mode `project` or `image`, for `slice_loader.Loaded`."""
    digest = entry.get("project")
    if loaded.standing is None or loaded.standing.digest != digest:
        loaded.withdraw()
        loaded.standing = Whole() if digest is None else Project(loaded.projects[digest], digest, loaded.folder)
        loaded.standing.enter()
    module, entries = entry["module"], loading()
    entries.append(module)
    try:
        script = entry.get("script")
        found = loaded.standing.script(module, script) if script else importlib.import_module(module)
    except ModuleNotFoundError as error:
        told = not_there(entry, error)
        if told is None:
            raise
        raise told from error
    finally:
        entries.pop()
    for part in entry["name"].split("."):
        found = getattr(found, part)
    is_plain = isinstance(found, (types.FunctionType, type))
    return found if is_plain else getattr(found, "fn", found)  # what our decorators say is known already


def unpacked(text: str, digest: str, folder: str) -> str:
    """Where its files are. Whoever is first makes them, for all processes that were given the same `folder`; '' is a
    folder of this process alone."""
    place = os.path.join(folder or _own_folder(), digest)
    while not _in_use(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        fresh = tempfile.mkdtemp(prefix=digest[:8] + ".", dir=os.path.dirname(place))
        try:
            _extract(text, fresh)
            os.rename(fresh, place)
        except (ValueError, zipfile.BadZipFile) as error:
            raise ImportError("this bundle of code is damaged: its project cannot be unpacked: " + str(error)) from None
        except OSError:
            if not os.path.isdir(place):  # else somebody else was first
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return place


def _in_use(place: str) -> bool:
    """From now on, until this process and all its forks have ended: what is locked nobody clears away, see
    `dispatch.celery.clearing`. False: it is not there."""
    if place in _locked and os.path.isdir(place):
        return True
    try:
        import fcntl

        descriptor = os.open(place, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except (ImportError, OSError):  # a system where folders are not locked: nothing is cleared there
        return os.path.isdir(place)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    try:
        if os.path.samestat(os.fstat(descriptor), os.stat(place)):
            _locked.add(place)
            with suppress(OSError):  # another user's, who clears it
                os.utime(place)
            return True
    except FileNotFoundError:  # it was cleared away in this moment
        pass
    os.close(descriptor)
    return False


def _extract(text: str, folder: str) -> None:
    with zipfile.ZipFile(io.BytesIO(b64decode(text))) as archive:
        for entry in archive.infolist():
            os.chmod(archive.extract(entry, folder), (entry.external_attr >> 16) or 0o644)


def _own_folder() -> str:
    if not _folders:
        _folders.append(tempfile.mkdtemp(prefix="twingraph-"))
        atexit.register(shutil.rmtree, _folders[0], ignore_errors=True)
    return _folders[0]


def not_there(entry: dict[str, Any], error: Exception) -> NotThereError | None:
    """The remedy, where it is the module of the entry itself that is missing."""
    module = entry["module"]
    if isinstance(error, FileNotFoundError):
        is_it = error.filename is not None and error.filename == entry.get("file")
    else:
        name = getattr(error, "name", None)
        is_it = name is not None and (module + ".").startswith(name + ".")
    if entry["mode"] == "project" or not is_it:
        return None
    if entry["mode"] == "image":
        remedy = "ship='image' sends no code: put it into the image, or take ship='slice' or ship='bundle'"
    else:
        remedy = "it could not be cut out of its module: take ship='bundle', which sends its whole project"
    return NotThereError("there is no module " + module + " where this runs, and " + remedy, name=module)


class Whole:
    """What is installed here, as it is."""

    digest: str | None = None

    def enter(self) -> None:
        stand_in()

    def leave(self) -> None:
        return


class Project(Whole):
    """First on the path, and before what this process has already imported under the names of its modules."""

    def __init__(self, text: str, digest: str, folder: str) -> None:
        self.digest = digest
        self.folder = unpacked(text, digest, folder)
        self._tops = {name.partition(".")[0] for name in os.listdir(self.folder)}
        self._hidden: dict[str, Any] = {}
        self._resting: dict[str, Any] = {}

    def enter(self) -> None:
        super().enter()
        sys.path.insert(0, self.folder)
        importlib.invalidate_caches()
        self._hide()
        sys.modules.update(self._resting)

    def script(self, name: str, file: str) -> Any:
        """The module of a script, under the name that it was shipped as: its file may be called otherwise."""
        path = os.path.join(self.folder, *file.split("/"))
        known = sys.modules.get(name)
        if known is not None and getattr(known, "__file__", None) == path:
            return known
        self._tops.add(name)
        self._hide()
        spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, path))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module

    def _hide(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in self._tops]:
            if not (self._is_own(sys.modules[name]) or _stays(name, sys.modules[name])):
                self._hidden[name] = sys.modules.pop(name)

    def leave(self) -> None:
        """The opposite: what gave way is there again."""
        with suppress(ValueError):
            sys.path.remove(self.folder)
        own = [name for name, module in list(sys.modules.items()) if self._is_own(module)]
        self._resting = {name: sys.modules.pop(name) for name in own}
        sys.modules.update(self._hidden)
        self._hidden = {}

    def _is_own(self, module: Any) -> bool:
        file = getattr(module, "__file__", None)
        places = [file] if file else list(getattr(module, "__path__", None) or ())
        return any(str(place).startswith(self.folder + os.sep) for place in places)


_STANDARD = os.path.dirname(os.path.realpath(os.__file__)) + os.sep


def _stays(name: str, module: Any) -> bool:
    """What Python and this process themselves are made of, though the project has a file or a folder of its name."""
    file = getattr(module, "__file__", None)
    if name in ("__main__", "twingraph") or name.startswith("twingraph.") or not (file or hasattr(module, "__path__")):
        return True
    real = os.path.realpath(file) if file else ""
    return real.startswith(_STANDARD) and "-packages" + os.sep not in real
