# mypy: disable-error-code="import-not-found, untyped-decorator"
import asyncio
import os

import asyncpg
import uvloop
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job


async def main() -> None:
    connection = await asyncpg.connect(os.environ["BENCHMARK_DATABASE_URL"])
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    queue = PgQueuer(driver)

    @queue.entrypoint("hello")
    async def hello(job: Job) -> None:
        assert job.payload is not None
        print(int(job.payload) + 1)
        queue.shutdown.set()

    await queries.enqueue("hello", b"0")
    await queue.run()
    await connection.close()


if __name__ == "__main__":
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with runner:
        runner.run(main())
