"""Units taken out of a model that data do not need."""
