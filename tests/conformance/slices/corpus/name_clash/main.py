# call: run()
from name_clash import left, right
from name_clash.left import helper
from name_clash.right import helper as other_helper

VALUE = "main"


def run():
    return VALUE, helper(), other_helper(), left.VALUE, right.VALUE
