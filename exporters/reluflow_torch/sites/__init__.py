"""Switch sites of a running torch model, and their patterns."""
