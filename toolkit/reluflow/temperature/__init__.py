"""How many activation patterns change from one state of a network to the next."""

from reluflow.temperature.distance import Temperature, distance, temperature

__all__ = ["Temperature", "distance", "temperature"]
