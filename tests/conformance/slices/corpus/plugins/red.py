from .base import Plugin, register


@register
def paint():
    return "red"


class Red(Plugin):
    pass
