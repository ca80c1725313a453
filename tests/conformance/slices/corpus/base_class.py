# call: run(3)
# drops: Unrelated
class Base:
    step = 2

    def move(self, n):
        return n + self.step


class Child(Base):
    def move(self, n):
        return super().move(n) * 10


class Unrelated:
    pass


def run(n):
    return Child().move(n)
