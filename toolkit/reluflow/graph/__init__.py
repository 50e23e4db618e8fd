"""The only room that knows ONNX: load, find switch sites, rewrite, save."""

from reluflow.graph.site import SwitchSite

__all__ = ["SwitchSite"]
