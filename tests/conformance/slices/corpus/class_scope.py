# call: run()
name = "module"


class Box:
    name = name + "!"
    size = 3
    cells = [size for _ in range(2)] if False else [0] * size

    def tell(self):
        return name, self.name


def run():
    return Box().tell(), Box.cells
