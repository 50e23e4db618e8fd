"""What docstrings have to contain."""
