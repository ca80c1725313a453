from twingraph import component, pipeline


@component
def inc(x: int) -> int:
    return x + 1


@pipeline
def hello() -> int:
    return inc(0)


if __name__ == "__main__":
    print(hello())
