"""Two passes over one picture, looked at from all sides: answers, region, costs, errors."""
