"""The meaning of outputs: tasks, labels, metrics."""
