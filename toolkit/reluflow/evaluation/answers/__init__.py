"""What outputs mean: tasks, labels, metrics."""
