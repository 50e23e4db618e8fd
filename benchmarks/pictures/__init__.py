"""Benchmarks of large pictures and of video."""
