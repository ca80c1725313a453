"""How a node run reaches a worker and how its outcome comes back. Decides nothing about the graph."""
