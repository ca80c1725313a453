# mypy: disable-error-code="import-not-found, misc"
import os

import luigi


class Inc(luigi.Task):
    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(f"{os.environ['BENCHMARK_FOLDER']}/{os.getpid()}")

    def run(self) -> None:
        with self.output().open("w") as file:
            file.write("1")


if __name__ == "__main__":
    task = Inc()
    luigi.build([task], local_scheduler=True, workers=1, log_level="CRITICAL", no_lock=True)
    with task.output().open() as file:
        print(file.read())
