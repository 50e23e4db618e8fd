"""Floor of the graph room: PSB operators that pass int16, and both widths in one model."""
