"""Decides: the pure kernel, and the conductor that carries its commands out and journals its events."""
