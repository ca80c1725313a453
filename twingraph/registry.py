"""Components and pipelines by name."""

from twingraph.sdk.registry import Registry, components, pipelines, register_component

__all__ = ["Registry", "components", "pipelines", "register_component"]
