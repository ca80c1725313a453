# mypy: disable-error-code="untyped-decorator"
from celery import Celery
from celery.contrib.testing.worker import start_worker

app = Celery("hello", broker="memory://", backend="cache+memory://")


@app.task
def hello(x: int) -> int:
    return x + 1


if __name__ == "__main__":
    with start_worker(app, pool="solo", perform_ping_check=False):
        print(hello.delay(0).get(timeout=60))
