"""TwinGraph: workflows that remember everything, as a graph.

The public names load on first use, so that `import twingraph` costs next to nothing.
"""

# As type checkers know it; importing `typing` for it would cost more than all the rest of this file.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from twingraph.core.errors import PermanentError
    from twingraph.executors.context import current
    from twingraph.sdk.base_component import BaseComponent
    from twingraph.sdk.component import component
    from twingraph.sdk.registry import register_component
    from twingraph.sdk.workflow_builder import Workflow

__version__ = "2.0.0.dev0"

_HOMES = {
    "BaseComponent": "twingraph.sdk.base_component",
    "PermanentError": "twingraph.core.errors",
    "Workflow": "twingraph.sdk.workflow_builder",
    "component": "twingraph.sdk.component",
    "current": "twingraph.executors.context",
    "register_component": "twingraph.sdk.registry",
}

__all__ = [
    "BaseComponent",
    "PermanentError",
    "Workflow",
    "__version__",
    "component",
    "current",
    "register_component",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'twingraph' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
