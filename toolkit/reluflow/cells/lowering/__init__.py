"""From a graph and a polygon to a small network of the units that change their sign there."""
