"""An async pipeline: pages side by side, each with a time limit, until nothing new is found."""

import asyncio

from twingraph import component, pipeline

SITE = {"/": ["/tea", "/cups", "/slow"], "/tea": ["/cups", "/green"], "/cups": [], "/green": ["/"], "/slow": []}


@component
async def fetch(page: str) -> list[str]:
    await asyncio.sleep(1 if page == "/slow" else 0.05)
    return SITE[page]


async def links(page: str) -> list[str]:
    try:
        return await asyncio.wait_for(fetch(page), timeout=0.5)
    except TimeoutError:
        print(f"{page} is too slow")
        return []


@pipeline
async def crawl(start: str = "/") -> str:
    seen, new = {start}, [start]
    while new:
        found = await asyncio.gather(*[links(page) for page in new])
        new = sorted({page for pages in found for page in pages} - seen)
        seen.update(new)
    return " ".join(sorted(seen))


if __name__ == "__main__":
    print(crawl())
