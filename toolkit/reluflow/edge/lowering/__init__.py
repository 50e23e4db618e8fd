"""Floor of the edge room: one rule for each operator that an integer program can hold."""
