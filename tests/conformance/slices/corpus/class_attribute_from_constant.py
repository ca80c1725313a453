# call: run()
# drops: UNUSED
BASE = 10
UNUSED = 11
RATES = [BASE * n for n in range(3)]


class Table:
    rates = RATES
    total = sum(rates)
    names = {str(rate): rate for rate in rates}


def run():
    return Table.total, Table.names
