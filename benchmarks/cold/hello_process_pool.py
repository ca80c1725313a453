from concurrent.futures import ProcessPoolExecutor


def inc(x: int) -> int:
    return x + 1


if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        print(pool.submit(inc, 0).result())
