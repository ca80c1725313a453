# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"
from prefect import flow, task


@task
def inc(x: int) -> int:
    return x + 1


@flow
def hello() -> int:
    return inc(0)


if __name__ == "__main__":
    print(hello())
