"""Runs of pictures tile by tile whose seams are exact, in bounded memory."""
