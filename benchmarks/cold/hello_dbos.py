# mypy: disable-error-code="import-not-found, untyped-decorator, no-any-return"
import os

from dbos import DBOS

DBOS(
    config={
        "name": "hello",
        "system_database_url": os.environ.get("BENCHMARK_DATABASE_URL")
        or f"sqlite:///{os.environ['BENCHMARK_FOLDER']}/dbos.sqlite",
        "log_level": "ERROR",
        "console_log_level": "ERROR",
    }
)


@DBOS.step()
def inc(x: int) -> int:
    return x + 1


@DBOS.workflow()
def hello() -> int:
    return inc(0)


if __name__ == "__main__":
    DBOS.launch()
    print(hello())
    DBOS.destroy()
