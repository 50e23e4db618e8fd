"""Making sites visible: outputs, hashes in the graph, notes for viewers."""
