"""Doubles that are kept to the same promises as the real parts, for users and for our own tests.

`Inline` runs pipelines and workflows in the test's own process and thread, on a clock that the test moves. In pytest
the fixture `inline` gives a fresh one.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from twingraph.testing.inline import Inline
    from twingraph.testing.outcomes import sequence, takes

__all__ = ["Inline", "sequence", "takes"]


def __getattr__(name: str) -> object:
    """On first use: whoever takes one double alone does not pay for the others."""
    if name not in __all__:
        raise AttributeError(f"module 'twingraph.testing' has no attribute {name!r}")
    from importlib import import_module

    home = "inline" if name == "Inline" else "outcomes"
    value = getattr(import_module(f"twingraph.testing.{home}"), name)
    globals()[name] = value
    return value
