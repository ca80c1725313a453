# call: run()
def run():
    import lazy_local_import.worker
    from lazy_local_import import worker as w

    return lazy_local_import.worker.work(), w.NAME
