"""A condition decides which way to go; the way not taken is skipped, and says so."""

from twingraph import Workflow, component


@component
def weigh(parcel: str) -> float:
    return len(parcel) / 2


@component
def by_bike(weight: float) -> str:
    return f"{weight} kg: a bike takes it"


@component
def by_truck(weight: float) -> str:
    return f"{weight} kg: call the truck"


@component
def label(text: str) -> str:
    return f"[{text}]"


wf = Workflow("branch")
wf.add_component("weigh", weigh)
wf.add_branch("heavy", condition="weight > 5")
wf.add_component("by_truck", by_truck)
wf.add_component("by_bike", by_bike)
wf.add_component("label", label)
wf.connect("weigh", "heavy", input="weight")
wf.connect("weigh", "by_truck")
wf.connect("weigh", "by_bike")
wf.connect("heavy", "by_truck", output="true")
wf.connect("heavy", "by_bike", output="false")
# Two edges may meet in one parameter, because only one of them can be alive.
wf.connect("by_truck", "label")
wf.connect("by_bike", "label")

if __name__ == "__main__":
    print(wf.run(parcel="a very large teapot"))
