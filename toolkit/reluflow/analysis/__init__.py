"""The main job: run a tapped model over data, hash, count and measure every switch site."""
