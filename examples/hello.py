"""Two plain functions, joined: the smallest workflow there is."""

from twingraph import Workflow, component


@component
def greet(name: str) -> str:
    print(f"greeting {name}")
    return f"Hello, {name}!"


@component
def shout(text: str) -> str:
    return text.upper()


wf = Workflow("hello")
wf.add_component("greet", greet)
wf.add_component("shout", shout)
wf.connect("greet", "shout")

if __name__ == "__main__":
    print(wf.run(name="world"))
