"""TwinGraph: workflows that remember everything, as a graph.

The public names load on first use, so that `import twingraph` costs next to nothing.
"""

# As type checkers know it; importing `typing` for it would cost more than all the rest of this file.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from twingraph.core.errors import PermanentError
    from twingraph.executors.context import current
    from twingraph.sdk.base_component import BaseComponent
    from twingraph.sdk.body.durable import (
        as_completed,
        gather,
        now,
        random,
        side_effect,
        sleep,
        uuid4,
        wait_any,
        wait_for_signal,
    )
    from twingraph.sdk.component import component
    from twingraph.sdk.pipeline import pipeline
    from twingraph.sdk.registry import register_component
    from twingraph.sdk.replaying import replay
    from twingraph.sdk.workflow_builder import Workflow

__version__ = "2.0.0.dev0"

_HOMES = {
    "BaseComponent": "twingraph.sdk.base_component",
    "PermanentError": "twingraph.core.errors",
    "Workflow": "twingraph.sdk.workflow_builder",
    "as_completed": "twingraph.sdk.body.durable",
    "component": "twingraph.sdk.component",
    "current": "twingraph.executors.context",
    "gather": "twingraph.sdk.body.durable",
    "now": "twingraph.sdk.body.durable",
    "pipeline": "twingraph.sdk.pipeline",
    "random": "twingraph.sdk.body.durable",
    "register_component": "twingraph.sdk.registry",
    "replay": "twingraph.sdk.replaying",
    "side_effect": "twingraph.sdk.body.durable",
    "sleep": "twingraph.sdk.body.durable",
    "uuid4": "twingraph.sdk.body.durable",
    "wait_any": "twingraph.sdk.body.durable",
    "wait_for_signal": "twingraph.sdk.body.durable",
}

__all__ = [
    "BaseComponent",
    "PermanentError",
    "Workflow",
    "__version__",
    "as_completed",
    "component",
    "current",
    "gather",
    "now",
    "pipeline",
    "random",
    "register_component",
    "replay",
    "side_effect",
    "sleep",
    "uuid4",
    "wait_any",
    "wait_for_signal",
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
