"""Computational attention: compute exactly only where a cheap pass is unsure."""

from reluflow.attention.attend.measure import attend_picture
from reluflow.attention.attend.picture import as_picture, over_picture
from reluflow.attention.attend.record import Answer, Attended, Cost, LayerErrors, Tiling
from reluflow.attention.cascade import Cascade, CascadeRun, open_cascade
from reluflow.attention.choose import RULES, random_region, unsure_region, with_margin
from reluflow.attention.maps.find import UncertaintyMap, open_map
from reluflow.attention.maps.reading import (
    READINGS,
    channels_last,
    find_reading,
    unsure_pixels,
)
from reluflow.attention.measure import measure_cascade
from reluflow.attention.options import CascadeOptions
from reluflow.attention.passes import Pass, open_pass
from reluflow.attention.region import (
    Region,
    blocks_of,
    changed_region,
    pixels_of,
    receptive_region,
)
from reluflow.attention.regional.options import CARRIES, RegionOptions
from reluflow.attention.regional.result import AttentionRun, NodeShare
from reluflow.attention.regional.scaled import scaled_region
from reluflow.attention.regional.session import AttentionSession
from reluflow.attention.result import CascadePoint, CascadeReport, ChosenThreshold, PassResult
from reluflow.attention.scores import Scores, find_scores
from reluflow.attention.table.measure import measure_attention
from reluflow.attention.table.options import AttentionOptions
from reluflow.attention.table.result import AttentionPoint, AttentionReport
from reluflow.attention.threshold import threshold_for_coverage, threshold_for_loss
from reluflow.attention.tiles.attention import TiledAttention, attend_tiles
from reluflow.attention.tiles.run import TileOptions, TilesRun, run_tiles
from reluflow.attention.uncertainty import (
    MEASURES,
    disagreement,
    entropy_bits,
    probabilities_of,
    rival_ratio,
    small_margin,
    uncertainty,
)
from reluflow.attention.video.frame import VideoFrame
from reluflow.attention.video.options import VideoOptions
from reluflow.attention.video.session import VideoSession

__all__ = [
    "CARRIES",
    "MEASURES",
    "READINGS",
    "RULES",
    "Answer",
    "Attended",
    "AttentionOptions",
    "AttentionPoint",
    "AttentionReport",
    "AttentionRun",
    "AttentionSession",
    "Cascade",
    "CascadeOptions",
    "CascadePoint",
    "CascadeReport",
    "CascadeRun",
    "ChosenThreshold",
    "Cost",
    "LayerErrors",
    "NodeShare",
    "Pass",
    "PassResult",
    "Region",
    "RegionOptions",
    "Scores",
    "TileOptions",
    "TiledAttention",
    "TilesRun",
    "Tiling",
    "UncertaintyMap",
    "VideoFrame",
    "VideoOptions",
    "VideoSession",
    "as_picture",
    "attend_picture",
    "attend_tiles",
    "blocks_of",
    "changed_region",
    "channels_last",
    "disagreement",
    "entropy_bits",
    "find_reading",
    "find_scores",
    "measure_attention",
    "measure_cascade",
    "open_cascade",
    "open_map",
    "open_pass",
    "over_picture",
    "pixels_of",
    "probabilities_of",
    "random_region",
    "receptive_region",
    "rival_ratio",
    "run_tiles",
    "scaled_region",
    "small_margin",
    "threshold_for_coverage",
    "threshold_for_loss",
    "uncertainty",
    "unsure_pixels",
    "unsure_region",
    "with_margin",
]
