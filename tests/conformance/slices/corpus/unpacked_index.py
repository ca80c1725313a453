# call: run()
# python: 3.11
class Grid:
    def __getitem__(self, key):
        return key


def run():
    place = (1, 2)
    return Grid()[0, *place]
