"""What an analysis found, as records."""
