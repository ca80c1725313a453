"""One execution whose nodes run on workers behind a real broker, all of it processes that may be killed."""
