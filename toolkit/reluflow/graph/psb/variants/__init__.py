"""Converted models in another form: other draws, bits or inputs, one layer alone, in floats."""
