"""The only room that knows ONNX: load, find switch sites, rewrite, save."""

from reluflow.graph.annotate import annotate
from reluflow.graph.model import Model, load
from reluflow.graph.site import SwitchSite
from reluflow.graph.sites import find_sites
from reluflow.graph.tap import Tap, TapResult, tap

__all__ = ["Model", "SwitchSite", "Tap", "TapResult", "annotate", "find_sites", "load", "tap"]
