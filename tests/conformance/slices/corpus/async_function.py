# call: run(3)
import asyncio


async def double(n):
    await asyncio.sleep(0)
    return n * 2


async def run(n):
    return await asyncio.gather(double(n), double(n + 1))
