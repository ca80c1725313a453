# mypy: disable-error-code="import-not-found, untyped-decorator"
import asyncio
import os

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCHMARK_DATABASE_URL"]))


@app.task(name="hello")
async def hello(x: int) -> None:
    print(x + 1)


async def main() -> None:
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await hello.defer_async(x=0)
        await app.run_worker_async(wait=False, install_signal_handlers=False)


if __name__ == "__main__":
    asyncio.run(main())
