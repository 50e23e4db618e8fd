"""Floor of the graph room: the windows of convolutions, and what pads their input."""
