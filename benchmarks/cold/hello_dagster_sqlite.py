# mypy: disable-error-code="import-not-found, untyped-decorator"
import dagster


@dagster.op
def start() -> int:
    return 1


@dagster.job(executor_def=dagster.in_process_executor)
def hello() -> None:
    start()


if __name__ == "__main__":
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dagster.DagsterInstance.get() as instance:
        print(hello.execute_in_process(instance=instance, run_config=quiet).output_for_node("start"))
