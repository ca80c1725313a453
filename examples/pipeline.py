"""A pipeline is plain Python: calls run side by side, a failure is caught where it is met, and data decides the way."""

from twingraph import component, pipeline


@component
def towns() -> list[str]:
    return ["Oslo", "Bergen", "Bodø"]


@component(retry_policy={"max_attempts": 2, "initial_delay": 0.1})
def ask_station(town: str) -> float:
    if town == "Bergen":
        raise ConnectionError("the station is silent")
    return 24.0 - 2 * len(town)


@component
def estimate(town: str) -> float:
    return 14.5


@pipeline
def temperature(town: str) -> float:
    try:
        return ask_station(town)
    except ConnectionError:
        return estimate(town)


@pipeline
def weather() -> str:
    degrees = {town: temperature(town) for town in towns()}
    warm = [town for town in degrees if degrees[town] > 15]
    return f"{len(warm)} of {len(degrees)} towns are warm: {' and '.join(warm)}"


if __name__ == "__main__":
    print(weather())
