# call: run()
class Shape:
    pass


class Circle(Shape):
    pass


class Square(Shape):
    pass


def run():
    return sorted(cls.__name__ for cls in Shape.__subclasses__())
