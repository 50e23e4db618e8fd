"""What patterns are good for: units taken out of a network that data do not need."""

from reluflow.slimming.result import Agreement, Saving, SiteUnits, SlimReport
from reluflow.slimming.slim import slim_model
from reluflow.slimming.units import UnitBits, read_units

__all__ = [
    "Agreement",
    "Saving",
    "SiteUnits",
    "SlimReport",
    "UnitBits",
    "read_units",
    "slim_model",
]
