"""Two passes over a graph, of which the second computes only a region of every tensor."""
