"""TwinGraph: workflows that remember everything, as a graph."""
