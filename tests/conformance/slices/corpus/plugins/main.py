# call: run()
from . import red  # noqa: F401
from .base import REGISTRY, Plugin


def run():
    return sorted(REGISTRY), sorted(cls.__name__ for cls in Plugin.kinds)
