"""The source text of live modules, read and parsed once per process."""

from __future__ import annotations

import ast
import linecache
import os
import re
import stat
import sys
import threading
import tokenize
import warnings
from dataclasses import replace
from functools import cached_property

from twingraph.core.errors import SliceError
from twingraph.core.recordclass import recordclass
from twingraph.core.syntax import parse
from twingraph.sdk.slicing.locality import Place, find_local

_PROMPT = re.compile(r"[/\\]_pyrepl[/\\]__main__\.pyc?$")
_CELL = re.compile(r"^<(python|ipython)-input-(\d+)|[/\\]ipykernel_\d+[/\\]")
_NO_SOURCE = (
    "the source of this code cannot be found (typed at a prompt that keeps none?); "
    "put it in a file and run or import that file"
)
_PIPED = (
    "the source of this program came through a pipe, which cannot be read again; write it to a file and run that, "
    "or give the file as standard input: `python - < file`"
)

# Filters of warnings are everybody's.
PARSING = threading.RLock()


@recordclass(kw_only=False, slots=False)
class Source:
    """One module's text. `name` is the name under which it is shipped."""

    name: str
    file: str
    text: str
    package: bool
    main: bool
    search: tuple[str, ...] = ()
    recorded: bool = False  # loaded from a bundle
    factories: tuple[str, ...] = ()  # the texts of nested functions in it

    @cached_property
    def made(self) -> list[Source]:
        """Where nested functions of a recorded module stand, at the lines of their file."""
        return [replace(self, text=text, factories=()) for text in self.factories]

    @property
    def live_name(self) -> str:
        """The name of the module in this process."""
        return "__main__" if self.main and not self.recorded else self.name

    @cached_property
    def tree(self) -> ast.Module:
        try:
            with PARSING, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return parse(self.text, self.file)
        except SyntaxError as error:
            raise SliceError(f"the file does not parse: {error.msg}", file=self.file, line=error.lineno) from error

    @cached_property
    def lines(self) -> list[bytes]:
        """Lines as bytes, because the columns of a syntax tree count bytes."""
        return [line.encode("utf-8", "surrogatepass") for line in re.split(r"\r\n|\r|\n", self.text)]

    @cached_property
    def package_name(self) -> str:
        """What a leading dot of a relative import stands for."""
        return self.name if self.package else self.name.rpartition(".")[0]


_cache: dict[str, tuple[tuple[int, int] | int, Source]] = {}


def main_name(file: str) -> str:
    """The name under which `__main__` is shipped: the stem of its file, kept off standard modules."""
    stem = os.path.splitext(os.path.basename(file))[0].strip("<>") or "script"
    if stem == "__main__":
        stem = os.path.basename(os.path.dirname(os.path.abspath(file))) or "script"
    stem = stem.replace(".", "_")
    return f"{stem}_main" if stem in sys.stdlib_module_names or stem == "twingraph" else stem


def shipped_main() -> str | None:
    """The name under which this process's `__main__` is shipped; None when it is no file."""
    module = sys.modules.get("__main__")
    file = _main_file()
    if module is None or file is None:
        return None
    spec = getattr(module, "__spec__", None)
    # python -m package.module: relative imports need the package
    return spec.name if spec is not None and spec.parent else main_name(file)


def _main_file() -> str | None:
    file: str | None = getattr(sys.modules.get("__main__"), "__file__", None)
    # the prompt of Python 3.13.0 leaves the name of its own program there
    return None if file is not None and _PROMPT.search(file) else file


def main_shipped_as() -> str | None:
    """The same, also for code that stands in no file: a notebook's, a prompt's, that of `-c` and of stdin."""
    module = sys.modules.get("__main__")
    known = shipped_main() or _unfiled.get(id(module))
    if known is None and (source := _main_source()) is not None:
        known = _unfiled[id(module)] = source.name  # it is read anew with each cell, its name stays
    return known


_unfiled: dict[int, str] = {}


def source_of(name: str) -> Source | None:
    """The source of a project-local module by its live name, None when it has none that can be read."""
    if name == "__main__":
        return _main_source()
    place = find_local(name)
    if place is None or place.file is None:
        return None
    return _from_file(name, place) if place.text is None else _from_bundle(place, place.text)


def _from_bundle(place: Place, text: str) -> Source:
    key, known = hash(text), _cache.get(place.name)
    if known is not None and known[0] == key and known[1].file == place.file and known[1].factories == place.made:
        return known[1]
    source = Source(
        name=place.name,
        file=place.file or "",
        text=text,
        package=place.package,
        main=place.main,
        search=place.search,
        recorded=True,
        factories=place.made,
    )
    _cache[place.name] = (key, source)
    return source


def _from_file(name: str, place: Place, *, main: bool = False) -> Source | None:
    assert place.file is not None
    try:
        status = os.stat(place.file)
        key = (status.st_mtime_ns, status.st_size)
        known = _cache.get(name)
        if known is not None and known[0] == key and known[1].file == place.file and known[1].main == main:
            return known[1]
        with tokenize.open(place.file) as handle:
            text = handle.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    source = Source(name=name, file=place.file, text=text, package=place.package, main=main, search=place.search)
    _cache[name] = (key, source)
    return source


def _main_source() -> Source | None:
    file = _main_file()
    if file is not None and os.path.isfile(file):
        name = shipped_main() or main_name(file)
        return _from_file(name, Place(name=name, file=os.path.abspath(file), package=False), main=True)
    for file, text in (_cells(), _command(), _stdin(), _typed()):
        if text is not None:
            known = _cache.get(file)
            if known is not None and known[0] == hash(text):
                return known[1]
            source = Source(name=main_name(file), file=file, text=text, package=False, main=True)
            _cache[file] = (hash(text), source)
            return source
    return None


def _cells() -> tuple[str, str | None]:
    """Everything that was typed at a prompt or in a notebook, in order, as one text."""
    texts = []
    for file, entry in list(linecache.cache.items()):
        if _CELL.search(file) and len(entry) == 4:
            cell = "".join(entry[2])
            try:
                parse(cell)
            except SyntaxError:
                continue
            texts.append(cell if cell.endswith("\n") else cell + "\n")
    return "<notebook>", "".join(texts) if texts else None


def _command() -> tuple[str, str | None]:
    arguments = sys.orig_argv
    for position, argument in enumerate(arguments[1:], start=1):
        if argument == "-c" or (re.fullmatch(r"-[bBdEhiIOqsSuvVxP]*c", argument) and argument != "-"):
            return "<string>", arguments[position + 1] if position + 1 < len(arguments) else None
        if argument.startswith("-c"):
            return "<string>", argument[2:]
        if not argument.startswith("-"):
            previous = arguments[position - 1]
            if previous not in ("-W", "-X"):
                break
    return "<string>", None


def _stdin() -> tuple[str, str | None]:
    """`python - < file`: the interpreter has read it, but a regular file can be read again from its start."""
    try:
        status = os.fstat(0)
        if not stat.S_ISREG(status.st_mode) or not hasattr(os, "pread"):
            return "<stdin>", None
        data = os.pread(0, status.st_size, 0)
        return "<stdin>", data.decode("utf-8").removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError):
        return "<stdin>", None


def _typed() -> tuple[str, str | None]:
    from twingraph.sdk.slicing.prompt import typed  # seldom: most code stands in a file

    return "<prompt>", typed()


def no_source(module: str, name: str) -> SliceError:
    why = _PIPED if module == "__main__" and _is_piped() else _NO_SOURCE
    return SliceError(f"{module}.{name}: {why}")


def _is_piped() -> bool:
    """`cat file | python -`: Python calls such a program "<stdin>", and it is gone once it is read."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return _main_file() == "<stdin>" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
