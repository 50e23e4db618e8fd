"""Do new inputs still show the patterns of the old ones? A reference, a share, an alarm."""

from reluflow.drift.check import check_against
from reluflow.drift.fit import MOST_PATTERNS, fit_reference
from reluflow.drift.reference import DriftReference, SiteReference, load_reference
from reluflow.drift.result import DriftReport, GroupDrift, SiteDrift

__all__ = [
    "MOST_PATTERNS",
    "DriftReference",
    "DriftReport",
    "GroupDrift",
    "SiteDrift",
    "SiteReference",
    "check_against",
    "fit_reference",
    "load_reference",
]
