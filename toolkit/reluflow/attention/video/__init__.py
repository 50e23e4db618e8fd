"""Runs of video: what did not change from frame to frame is not computed again."""
