# mypy: disable-error-code="import-not-found"
import logging

from distributed import Client, LocalCluster


def inc(x: int) -> int:
    return x + 1


if __name__ == "__main__":
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        print(client.submit(inc, 0).result())
