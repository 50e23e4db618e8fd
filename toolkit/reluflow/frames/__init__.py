"""What every result can do besides holding numbers: print as a table, become a frame."""

from reluflow.frames.columns import Shown, flat, plain_text, written
from reluflow.frames.sites import SiteTable
from reluflow.frames.tabular import Tabular

__all__ = ["Shown", "SiteTable", "Tabular", "flat", "plain_text", "written"]
