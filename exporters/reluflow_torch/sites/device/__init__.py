"""What is read from the device that a model runs on, and when the host waits for it."""
