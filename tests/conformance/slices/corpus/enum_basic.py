# call: run("red")
import enum


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"

    @property
    def loud(self):
        return self.value.upper()


def run(name):
    return Color(name).loud, [color.name for color in Color]
