"""Readers of files and objects that hold inputs."""
