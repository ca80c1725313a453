"""Components and pipelines by name. Plug-ins are looked up in entry points, only when somebody first asks for one."""

from __future__ import annotations

import sys
from typing import Any

from twingraph.core.errors import NotFoundError, ValidationError
from twingraph.core.nearest import nearest

ENTRY_POINTS = "twingraph.components"


Named = dict[str, dict[tuple[str, str], Any]]


class Registry:
    """Names to components, and names to pipelines: a pipeline and a component may share one.

    Two modules may use one name; then only `module:function` tells them apart.
    """

    def __init__(self) -> None:
        self._by_name: Named = {}
        self._pipelines: Named = {}

    def add(self, name: str, target: Any, address: tuple[str, str]) -> None:
        """Register; the same function defined again replaces what it was."""
        known = self._pipelines if is_pipeline(target) else self._by_name
        known.setdefault(name, {})[address] = target

    def names(self) -> list[str]:
        """Of the components."""
        return sorted(self._by_name)

    def pipelines(self) -> list[str]:
        return sorted(self._pipelines)

    def find(self, reference: str) -> Any:
        """A component by name or `module:function`, with an optional `@version`; NotFoundError with near names."""
        name, _, version = reference.partition("@")
        found = self._by_path(name, self._by_name) if ":" in name else self._named(name)
        if is_pipeline(found):
            raise NotFoundError(f"{name!r} is a pipeline, not a component")
        if version:
            declared = getattr(found, "version", None)
            if declared != version:
                raise NotFoundError(f"{name!r} is here in version {declared!r}, not {version!r}")
        return found

    def find_pipeline(self, reference: str) -> Any:
        """A pipeline by name or `module:function`; NotFoundError with near names."""
        if ":" in reference:
            found = self._by_path(reference, self._pipelines)
            if not is_pipeline(found):
                raise NotFoundError(f"{reference!r} is not a pipeline")
            return found
        known = self._pipelines.get(reference)
        if known is None:
            if reference in self._by_name:
                raise NotFoundError(f"{reference!r} is a component, not a pipeline")
            raise NotFoundError(f"no pipeline is called {reference!r}", near=nearest(reference, self._pipelines))
        return _only(reference, known)

    def _named(self, name: str) -> Any:
        known = self._by_name.get(name)
        if known is not None:
            return _only(name, known)
        plugin = _plug_in(name)
        if plugin is not None:
            return plugin
        if name in self._pipelines:
            raise NotFoundError(f"{name!r} is a pipeline, not a component")
        raise NotFoundError(f"no component is called {name!r}", near=nearest(name, self._by_name))

    def _by_path(self, reference: str, names: Named) -> Any:
        module, _, qualname = reference.partition(":")
        for known in names.values():
            if (module, qualname) in known:
                return known[module, qualname]
        loaded = sys.modules.get(module)
        if loaded is None:
            from importlib import import_module

            try:
                loaded = import_module(module)
            except ModuleNotFoundError as error:
                raise NotFoundError(f"no module is called {error.name!r}, which {reference!r} needs") from error
        found: Any = loaded
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise NotFoundError(f"module {module!r} has no {qualname!r}", near=nearest(qualname, dir(loaded)))
        return found


def is_pipeline(target: object) -> bool:
    """Asked of the type alone: a handle would answer for its value."""
    return getattr(type(target), "is_pipeline", False) is True


def _only(name: str, known: dict[tuple[str, str], Any]) -> Any:
    if len(known) > 1:
        places = " and ".join(sorted(f"{module}:{qualname}" for module, qualname in known))
        raise ValidationError(f"{name!r} stands for {places}; name the one that you mean by module:function")
    return next(iter(known.values()))


def _plug_in(name: str) -> Any:
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return entry.load()
    return None


DEFAULT = Registry()


def components() -> list[str]:
    """The names of all components that this process has declared or registered."""
    return DEFAULT.names()


def pipelines() -> list[str]:
    return DEFAULT.pipelines()


def register_component(name: Any, target: Any, *, registry: Registry = DEFAULT) -> Any:
    """Make a BaseComponent class, a component or a plain function known under a name."""
    if not isinstance(name, str) or not name.strip():
        raise ValidationError(f"the name of a component must be a text that is not empty, not {name!r}")
    if not callable(target):
        raise ValidationError(f"{name}: a component is a function or a BaseComponent class, not {target!r}")
    if is_pipeline(target):
        raise ValidationError(f"{name}: {target!r} has its name from @pipeline(name=...), and is no component")
    registry.add(name, target, (target.__module__, getattr(target, "__qualname__", type(target).__qualname__)))
    return target
