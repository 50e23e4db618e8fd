"""Floor of the evaluation room: dividing a budget of samples among operators."""
