"""Making sites visible: as outputs, as hashes in the graph, and as metadata for viewers."""
