"""Nodes in containers of a Docker engine, here or elsewhere. Nothing is mounted unless the author asks for it: code and
values go in and out as archives, so the engine may be on another machine.

`request` and `archive` say what is asked for and are pure; `client` is the one module that knows the client library.
"""
