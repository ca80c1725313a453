# call: run()
class Tool:
    made = 0

    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b

    @classmethod
    def make(cls) -> "Tool":
        cls.made += 1
        return cls()


def run():
    Tool.make()
    return Tool.add(1, 2), Tool.made
