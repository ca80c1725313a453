"""One node for each item of a list. How many there are is known only when the list is."""

from twingraph import Workflow, component


@component
def numbers(count: int) -> list[int]:
    return list(range(1, count + 1))


@component
def square(n: int) -> int:
    return n * n


@component
def total(values: list[int]) -> int:
    return sum(values)


wf = Workflow("fan-out")
wf.add_component("numbers", numbers)
wf.add_map("squares", component=square, over="n")
wf.add_component("total", total)
wf.connect("numbers", "squares")
wf.connect("squares", "total")

if __name__ == "__main__":
    print(wf.run(count=10))
