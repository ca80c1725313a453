"""How one node run is carried out. Knows nothing of graphs, retries or journals."""
