# call: run()
from dataclasses import dataclass

from dataclass_over_modules.base import Base


@dataclass
class Child(Base):
    extra: str = "e"


def run():
    return Child(1, 2), Child.__mro__[1].__name__
