"""One analysis by many processes or machines: parts counted anywhere, merged exactly."""

from reluflow.scale.cluster import open_cluster
from reluflow.scale.divide import count_in_parts, holds_parts

__all__ = ["count_in_parts", "holds_parts", "open_cluster"]
