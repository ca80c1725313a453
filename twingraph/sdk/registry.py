"""Components by name. Plug-ins are looked up by name in entry points, only when somebody first asks for one."""

from __future__ import annotations

import sys
from typing import Any

from twingraph.core.errors import NotFoundError, ValidationError
from twingraph.core.nearest import nearest

ENTRY_POINTS = "twingraph.components"


class Registry:
    """Names to components. Two modules may use one name; then only `module:function` tells them apart."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[tuple[str, str], Any]] = {}

    def add(self, name: str, target: Any, address: tuple[str, str]) -> None:
        """Register; the same function defined again replaces what it was."""
        self._by_name.setdefault(name, {})[address] = target

    def names(self) -> list[str]:
        return sorted(self._by_name)

    def find(self, reference: str) -> Any:
        """By name or `module:function`, with an optional `@version`; NotFoundError with near names."""
        name, _, version = reference.partition("@")
        found = self._by_path(name) if ":" in name else self._named(name)
        if version:
            declared = getattr(found, "version", None)
            if declared != version:
                raise NotFoundError(f"{name!r} is here in version {declared!r}, not {version!r}")
        return found

    def _named(self, name: str) -> Any:
        known = self._by_name.get(name)
        if known is None:
            plugin = _plug_in(name)
            if plugin is not None:
                return plugin
            raise NotFoundError(f"no component is called {name!r}", near=nearest(name, self._by_name))
        if len(known) > 1:
            places = " and ".join(sorted(f"{module}:{qualname}" for module, qualname in known))
            raise ValidationError(f"{name!r} stands for {places}; name the one that you mean by module:function")
        return next(iter(known.values()))

    def _by_path(self, reference: str) -> Any:
        module, _, qualname = reference.partition(":")
        for known in self._by_name.values():
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


def _plug_in(name: str) -> Any:
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return entry.load()
    return None


DEFAULT = Registry()


def register_component(name: Any, target: Any, *, registry: Registry = DEFAULT) -> Any:
    """Make a BaseComponent class, a component or a plain function known under a name."""
    if not isinstance(name, str) or not name.strip():
        raise ValidationError(f"the name of a component must be a text that is not empty, not {name!r}")
    if not callable(target):
        raise ValidationError(f"{name}: a component is a function or a BaseComponent class, not {target!r}")
    registry.add(name, target, (target.__module__, getattr(target, "__qualname__", type(target).__qualname__)))
    return target
