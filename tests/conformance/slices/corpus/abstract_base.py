# call: run()
import abc


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    def area(self) -> float:
        return 4.0


class Foreign:
    pass


Shape.register(Foreign)


def run():
    try:
        Shape()
    except TypeError:
        return Square().area(), isinstance(Foreign(), Shape)
