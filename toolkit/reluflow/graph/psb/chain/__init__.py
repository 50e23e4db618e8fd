"""Floor of the graph room: PSB operators that pass bytes to each other instead of floats."""
