"""Inputs of a model as columns of samples: what they must be, and how they are delivered."""
