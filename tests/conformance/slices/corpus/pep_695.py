# call: run(3)
# python: 3.12
type Pair[T] = tuple[T, T]


class Stack[T]:
    def __init__(self) -> None:
        self.items: list[T] = []

    def push(self, item: T) -> None:
        self.items.append(item)


def twice[T: int](item: T) -> Pair[T]:
    return item, item


def run(n):
    stack = Stack[int]()
    stack.push(n)
    return twice(n), stack.items
