"""Doubles that are kept to the same promises as the real parts, for users and for our own tests."""
