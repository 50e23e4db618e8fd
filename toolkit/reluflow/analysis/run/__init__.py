"""Running a tapped model over data and counting what its sites show."""
