"""The kernel in a world of chance: random plans, and everything that can go wrong, all of it decided by a seed."""
