"""Floor of the edge room: a planned program as C."""
