"""A component that is interrupted at each call which a print makes, as by a handler of a signal that raises."""

CODE = """
def raises_at_each_call_of_a_print():
    import sys
    print("a word")
    moment = left = 0
    def happens(frame, event, called):
        nonlocal left
        left -= called is not sys.setprofile
        if left == 0:
            raise LookupError
    while left <= 0:
        moment = left = moment + 1
        sys.setprofile(happens)
        try:
            print("another")
        except LookupError:
            pass
        finally:
            sys.setprofile(None)
    return moment
"""
