"""Ten small nodes: orders in, one report out. Customers and orders are prepared side by side."""

import csv
import io

from twingraph import Workflow, component

ORDERS = "order,customer,cents\n1,ada,1250\n2,bob,n/a\n3,ada,750\n4,eve,4200\n4,eve,4200\n"
CUSTOMERS = "customer,country\nada,GB\nbob,FR\neve,IS\n"

Rows = list[dict[str, str]]


def parse(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


@component
def read_orders() -> Rows:
    return parse(ORDERS)


@component
def read_customers() -> Rows:
    return parse(CUSTOMERS)


@component
def drop_unpriced(rows: Rows) -> Rows:
    return [row for row in rows if row["cents"].isdigit()]


@component
def drop_repeated(rows: Rows) -> Rows:
    return list({row["order"]: row for row in rows}.values())


@component
def index(rows: Rows) -> dict[str, str]:
    return {row["customer"]: row["country"] for row in rows}


@component
def join(orders: Rows, countries: dict[str, str]) -> Rows:
    return [{**order, "country": countries[order["customer"]]} for order in orders]


@component
def sum_by_country(rows: Rows) -> dict[str, int]:
    cents: dict[str, int] = {}
    for row in rows:
        cents[row["country"]] = cents.get(row["country"], 0) + int(row["cents"])
    return cents


@component
def best(cents: dict[str, int]) -> str:
    return max(cents, key=lambda country: cents[country])


@component
def as_lines(cents: dict[str, int]) -> list[str]:
    return [f"{country} {value / 100:.2f}" for country, value in sorted(cents.items())]


@component
def report(lines: list[str], winner: str) -> str:
    return "\n".join([*lines, f"best: {winner}"])


wf = Workflow("etl")
for step in (
    read_orders,
    read_customers,
    drop_unpriced,
    drop_repeated,
    index,
    join,
    sum_by_country,
    best,
    as_lines,
    report,
):
    wf.add_component(step.__name__, step)
wf.connect("read_orders", "drop_unpriced")
wf.connect("drop_unpriced", "drop_repeated")
wf.connect("drop_repeated", "join", input="orders")
wf.connect("read_customers", "index")
wf.connect("index", "join", input="countries")
wf.connect("join", "sum_by_country")
wf.connect("sum_by_country", "best")
wf.connect("sum_by_country", "as_lines")
wf.connect("as_lines", "report", input="lines")
wf.connect("best", "report", input="winner")

if __name__ == "__main__":
    print(wf.run())
