"""What patterns are good for: a smaller model, an alarm where data change."""
