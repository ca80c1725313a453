# call: run(4)
OFFSET = 5
double = lambda n: n * 2  # noqa: E731
run = lambda n, extra=OFFSET: double(n) + extra  # noqa: E731
