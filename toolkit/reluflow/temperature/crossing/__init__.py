"""The whole curve of D over the rate from one derivative (docs/spec.md, section 5)."""

from reluflow.temperature.crossing.along import curves_along
from reluflow.temperature.crossing.curves import CrossingCurve, CrossingCurves, merged
from reluflow.temperature.crossing.rates import crossing_rates

__all__ = ["CrossingCurve", "CrossingCurves", "crossing_rates", "curves_along", "merged"]
