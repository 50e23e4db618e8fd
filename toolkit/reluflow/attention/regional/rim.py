"""What pass 2 reads of each tensor outside its region: the values that pass 1 has to give."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from reluflow.attention.region import read_pixels
from reluflow.graph import Reads, SpatialGraph

Mask = NDArray[np.bool_]


def rims(
    graph: SpatialGraph,
    masks: Mapping[str, Mask],
    skipping: Collection[str],
    whole: Collection[str],
) -> dict[str, Mask | None]:
    """Return which pixels of each tensor have to come from pass 1.

    Args:
        graph: of `read_spatial`.
        masks: tensor -> `(n, pixels...)`, what is computed.
        skipping: tensors of which only the region is computed.
        whole: tensors that are read everywhere: outputs, and what others than `graph` reads.

    Returns:
        Tensor of `skipping` -> pixels outside its region that are read; None: all of them.
        Those of which none is read are left out.
    """
    found: dict[str, Mask | None] = {}
    for step in graph.steps:
        if not isinstance(step, Reads):
            found.update(dict.fromkeys(set(step.sources) & set(skipping)))
            continue
        known = found.get(step.source)
        if step.source not in skipping or (step.source in found and known is None):
            continue
        if step.target not in skipping or step.source in whole:
            found[step.source] = None
            continue
        read = np.stack([read_pixels(step, mask) for mask in masks[step.target]])
        found[step.source] = read if known is None else known | read
    found.update(dict.fromkeys(set(whole) & set(skipping)))
    outside = {name: None if read is None else read & ~masks[name] for name, read in found.items()}
    return {name: read for name, read in outside.items() if read is None or read.any()}
