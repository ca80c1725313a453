# call: run(3)
from . import tools
from .inner.deep import (
    bottom,
    unused,
)
from .tools import scale as grow


def run(n):
    from .inner import NAME
    from . import inner as again

    return grow(n), tools.scale(1), bottom(), NAME, again.NAME
