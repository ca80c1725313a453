from twingraph import Workflow, component


@component
def inc(x: int) -> int:
    return x + 1


if __name__ == "__main__":
    workflow = Workflow("hello")
    workflow.add_component("n0", inc, x=0)
    print(workflow.run())
