# call: run()
class Meta(type):
    def __new__(mcs, name, bases, namespace):
        namespace["tag"] = name.lower()
        return super().__new__(mcs, name, bases, namespace)


class Thing(metaclass=Meta):
    pass


def run():
    return Thing.tag
