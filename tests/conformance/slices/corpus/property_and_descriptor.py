# call: run()
class Positive:
    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner):
        return getattr(instance, self.name)

    def __set__(self, instance, value):
        if value < 0:
            raise ValueError(value)
        setattr(instance, self.name, value)


class Account:
    balance = Positive()

    def __init__(self, balance):
        self.balance = balance

    @property
    def double(self):
        return self.balance * 2

    @double.setter
    def double(self, value):
        self.balance = value // 2


def run():
    account = Account(3)
    account.double = 20
    try:
        account.balance = -1
    except ValueError as error:
        return account.double, str(error)
