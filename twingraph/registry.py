"""Components by name."""

from twingraph.sdk.registry import Registry, register_component

__all__ = ["Registry", "register_component"]
