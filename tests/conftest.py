"""No test is timed: machines are noisy, and the first call of a kernel compiles it."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
