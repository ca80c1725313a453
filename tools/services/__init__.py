"""The real services that tests and benchmarks use, each with its own data and port: `python -m tools.services`.

Nothing here touches a service that already runs on the machine. Data, logs and built programs lie in a cache folder
outside the checkout, so that all checkouts share them. Standard library only.
"""
