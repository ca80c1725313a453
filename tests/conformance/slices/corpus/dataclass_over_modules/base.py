from dataclasses import dataclass

from .kinds import Number


@dataclass
class Base:
    a: Number
    b: Number = 0
