"""From `path.py:name` or `module:name` to a workflow or a pipeline."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from twingraph.cli.errors import TargetError, UsageError
from twingraph.cli.userframes import format_user_traceback
from twingraph.core.execution import ExecutionRecord
from twingraph.core.nearest import did_you_mean, nearest
from twingraph.core.recordclass import recordclass


@recordclass
class Target:
    """What was typed, taken apart."""

    typed: str
    path: Path | None
    module: str | None
    name: str | None

    def spelled(self, name: str) -> str:
        """How to type the target that is called `name` in the same file."""
        place = self.typed.removesuffix(f":{self.name}") if self.name else self.typed
        return f"{place}:{name}"


def parse_target(typed: str) -> Target:
    place, colon, name = typed.rpartition(":")
    # A colon may also stand in a folder's name.
    if not colon or typed.endswith(".py"):
        place, name = typed, ""
    if not place:
        raise UsageError(f"{typed!r} is not a target; give path.py, path.py:name or module:name")
    if place.endswith(".py"):
        return Target(typed=typed, path=_existing(Path(place).expanduser()), module=None, name=name or None)
    if Path(place).exists() or "/" in place:
        raise UsageError(f"{place} is not a Python file; a target is path.py, path.py:name or module:name")
    if not all(part.isidentifier() for part in place.split(".")):
        raise UsageError(f"{typed!r} is not a target; give path.py, path.py:name or module:name")
    return Target(typed=typed, path=None, module=place, name=name or None)


def _existing(path: Path) -> Path:
    if path.is_file():
        return path.resolve()
    folder = path.parent
    here = [found.name for found in folder.glob("*.py")] if folder.is_dir() else []
    near = nearest(path.name, here)
    if near:
        hint = f"did you mean {' or '.join(str(folder / name) for name in near)}?"
    else:
        hint = f"write one with: twingraph new {path.stem}"
    raise UsageError(f"there is no file {path}; {hint}")


def load_target(typed: str) -> Any:
    """The workflow or pipeline that was named, a component as a workflow of its own; the only one when none was."""
    target = parse_target(typed)
    module = _load_file(target.path) if target.path else _load_module(target)
    if target.name is not None:
        return _named(target, module, target.name)
    return _only(target, module)


def made_ready(thing: Any) -> Any:
    """What a runtime takes."""
    if not is_pipeline(thing):
        return thing.compile()
    from twingraph.sdk.prepared import prepare

    return prepare(thing)


def current_code(record: ExecutionRecord, code: str) -> Any:
    """What was run, as its file is now, when that is asked for."""
    if code != "current":
        return None
    if record.target is None:
        raise UsageError(f"{record.id} was not started from a file, so there is no current code; leave out --code")
    return made_ready(load_target(record.target))


def recorded_target(typed: str, thing: Any) -> str:
    """The target as it is found again from any folder."""
    target = parse_target(typed)
    from twingraph.sdk.standing import target_of

    found = target_of(thing)
    if found is not None and ":" in found:
        return found
    if target.path is None:
        return typed
    return f"{target.path}:{target.name}" if target.name else str(target.path)


def _load_file(path: Path) -> ModuleType:
    """Run the file as the module that its stem names, as an import from its own folder would."""
    package = _package_of(path.parent)
    if package:
        sys.path.insert(0, str(path.parents[len(package)]))
        name = ".".join((*package, path.stem))
        return _load_module(Target(typed=name, path=None, module=name, name=None))
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be loaded as Python code")
    module = importlib.util.module_from_spec(spec)
    # A file called like a module that is already in use must not take its place.
    sys.modules.setdefault(path.stem, module)
    try:
        with _no_runs():
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # user code may raise anything, SystemExit too
        raise _broken(str(path), error) from error
    return module


def _package_of(folder: Path) -> tuple[str, ...]:
    """The names of the packages around a file, so that its relative imports work."""
    if not (folder / "__init__.py").is_file() or not folder.name.isidentifier():
        return ()
    return (*_package_of(folder.parent), folder.name)


def _load_module(target: Target) -> ModuleType:
    assert target.module is not None
    sys.path.insert(0, str(Path.cwd()))
    try:
        with _no_runs():
            importlib.import_module(target.module)
        return sys.modules[target.module]
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (target.module == error.name or target.module.startswith(error.name + ".")):
            here = [path.stem for path in Path.cwd().glob("*.py")]
            hint = f"; {did_you_mean(target.module, here)}" if nearest(target.module, here) else ""
            raise UsageError(
                f"there is no module {target.module!r} here{hint} A file is given by its path: {target.module}.py"
                if hint
                else f"there is no module {target.module!r} here; a file is given by its path: {target.module}.py"
            ) from None
        raise _broken(target.module, error) from error
    except BaseException as error:
        raise _broken(target.module, error) from error


@contextlib.contextmanager
def _no_runs() -> Iterator[None]:
    """A file that runs what it holds as it is loaded, without a guard, has said enough when it comes to that line."""
    from twingraph.sdk.inprocess import FoundWhileLoading, loading

    try:
        with loading():
            yield
    except FoundWhileLoading:
        return


def _broken(place: str, error: BaseException) -> TargetError:
    if isinstance(error, SystemExit):
        what = f"{place} ended the program (exit {error.code}) while it was loaded"
        remedy = 'put what runs below `if __name__ == "__main__":`'
    elif isinstance(error, ModuleNotFoundError):
        what, remedy = f"{place} could not be loaded", f"install {error.name!r} in this environment ({sys.executable})"
    else:
        what, remedy = f"{place} could not be loaded", "mend what the traceback above shows and run it again"
    return TargetError(f"{what}; {remedy}", traceback=format_user_traceback(error))


def is_workflow(thing: object) -> bool:
    return _is_a(thing, "Workflow")


def is_pipeline(thing: object) -> bool:
    return not isinstance(thing, type) and _is_a(thing, "Pipeline")


def is_component(thing: object) -> bool:
    return _is_a(thing, "Component") or _is_a(thing, "BaseComponent")


def _is_a(thing: object, name: str) -> bool:
    """Told by the name of one of our classes: the authoring room need not be loaded to say no."""
    classes = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
    if isinstance(thing, type):
        classes = classes[1:]  # the base class itself is no component
    return any(c.__name__ == name and c.__module__.startswith("twingraph.") for c in classes)


def _named(target: Target, module: ModuleType, name: str) -> Any:
    things = {**_own(module, _runs), **_own(module, is_component)}
    try:
        thing = getattr(module, name)
    except AttributeError:
        raise UsageError(f"{target.typed}: there is no {name!r} in it; {did_you_mean(name, things)}") from None
    if _runs(thing):
        return thing
    if is_component(thing):
        return alone(name, thing)
    raise UsageError(
        f"{target.typed}: {name!r} is {_article(type(thing).__name__)}, neither a pipeline nor a Workflow nor a "
        "component; " + (did_you_mean(name, things) if things else "decorate a function with @pipeline to run it")
    )


def _only(target: Target, module: ModuleType) -> Any:
    for kind in (_runs, is_component):
        found = _own(module, kind)
        if len(found) == 1:
            name, thing = next(iter(found.items()))
            return thing if kind is _runs else alone(name, thing)
        if found:
            choices = "\n".join(f"  twingraph run {target.spelled(name)}" for name in found)
            raise UsageError(f"{target.typed} holds {len(found)} {_kinds(found)}; say which:\n{choices}")
    raise UsageError(
        f"{target.typed} holds nothing to run; decorate a function with @pipeline or @component, "
        "or draw a workflow at the top of the file (wf = Workflow(...))"
    )


def _runs(thing: object) -> bool:
    return is_workflow(thing) or is_pipeline(thing)


def _kinds(found: Mapping[str, Any]) -> str:
    words = {
        "components" if is_component(thing) else "pipelines" if is_pipeline(thing) else "workflows"
        for thing in found.values()
    }
    return " and ".join(sorted(words))


def _own(module: ModuleType, kind: Callable[[object], bool]) -> dict[str, Any]:
    """Things of a kind that the module made itself, each once, in order."""
    found: dict[str, Any] = {}
    for name, thing in vars(module).items():
        imported = not is_workflow(thing) and getattr(thing, "__module__", module.__name__) != module.__name__
        if kind(thing) and not imported and not any(thing is other for other in found.values()):
            found[name] = thing
    return found


def alone(name: str, component: Any) -> Any:
    """A workflow of this one component; its parameters become the workflow's inputs."""
    from twingraph.sdk.workflow_builder import Workflow

    return Workflow(name).add_component(name, component)


def _article(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
