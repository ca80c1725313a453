"""The systems: one small module each, listed in `catalog`.

A module imports its package by name inside `setup`, so that the harness can read titles and settings without it.
"""
