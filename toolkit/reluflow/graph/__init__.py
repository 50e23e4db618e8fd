"""The only room that knows ONNX: load, find switch sites, rewrite, save."""

from reluflow.graph.proto.model import Model, load
from reluflow.graph.psb.activations import Activation, find_activations
from reluflow.graph.psb.chain.chain_psb import chain_psb
from reluflow.graph.psb.chain.changes import ChainChanges, ChainedNode
from reluflow.graph.psb.chain.find import Chain, find_chains
from reluflow.graph.psb.chain.wide.both import chain_both
from reluflow.graph.psb.chain.wide.chain16 import Chain16Changes, chain_psb16
from reluflow.graph.psb.factors import own_samples
from reluflow.graph.psb.forms.apart import load_apart, switches_apart
from reluflow.graph.psb.forms.recurrent import Decoded
from reluflow.graph.psb.forms.spell import SpelledOut, spell_out
from reluflow.graph.psb.forms.unround import Unrounded, unround_activations
from reluflow.graph.psb.nodes import PsbNode, Succession, find_psb, find_successions, psb_inputs
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.plan import PlannedNode, PsbPlan, plan_psb
from reluflow.graph.psb.standard.inline import Inlined, inline_psb
from reluflow.graph.psb.to_psb import ConvertedNode, PsbChanges, to_psb
from reluflow.graph.psb.upgrade import Raised, upgrade
from reluflow.graph.psb.variants.alone import psb_alone
from reluflow.graph.psb.variants.bake import bake_samples
from reluflow.graph.psb.variants.floats import (
    psb_in_floats,
    with_activations,
    with_wide_activations,
)
from reluflow.graph.psb.variants.input_defaults import with_input_defaults, without_input_defaults
from reluflow.graph.psb.variants.pooled_formats import keep_pooled_formats
from reluflow.graph.psb.variants.samples import with_own_samples, with_sample_factors
from reluflow.graph.psb.variants.saturation import SaturationCounts, count_saturation
from reluflow.graph.psb.variants.with_sampler import with_sampler
from reluflow.graph.rewrite.batch_statistics import use_batch_statistics
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.rewrite.fold_batchnorm import Folded, fold_batchnorm
from reluflow.graph.rewrite.program import Operation, Program, read_program
from reluflow.graph.rewrite.prune import Pruned, prune
from reluflow.graph.rewrite.weights_as_inputs import (
    WeightInput,
    read_weights,
    weights_as_inputs,
)
from reluflow.graph.rewrite.windows.fold_pads import fold_pads
from reluflow.graph.sites.bound import bound_shapes
from reluflow.graph.sites.find import find_sites, survey_sites
from reluflow.graph.sites.site import Fold, LeftOut, Survey, SwitchSite
from reluflow.graph.slim.cost import count_multiply_adds
from reluflow.graph.slim.slim import SlimmedSite, slim_units
from reluflow.graph.spatial.beside import Beside
from reluflow.graph.spatial.formats import ChainFormat, chain_formats
from reluflow.graph.spatial.mix import MixedTensor, mix_passes
from reluflow.graph.spatial.pooled import PooledHead, find_pooled_head
from reluflow.graph.spatial.read import SpatialEnd, SpatialGraph, read_spatial
from reluflow.graph.spatial.regional import RegionalTensor, to_regional
from reluflow.graph.spatial.steps import Reads
from reluflow.graph.taps.annotate import annotate
from reluflow.graph.taps.blocked_taps import blocked_probe, has_convolutions, read_blocked
from reluflow.graph.taps.cut import CutOff, cut_tail
from reluflow.graph.taps.expose import expose
from reluflow.graph.taps.hash_taps import HashedTap, hash_taps
from reluflow.graph.taps.label import LabelledNode, find_label, label_nodes
from reluflow.graph.taps.tap import Tap, tap
from reluflow.graph.tuning.byte_rounding import ByteRounding, byte_rounding, with_byte_rounding
from reluflow.graph.tuning.channels import ScalableChannels, scalable_channels, scale_channels
from reluflow.graph.tuning.equalise import Equalised, equalise
from reluflow.graph.tuning.last import last_layers
from reluflow.graph.tuning.layers import (
    Layer,
    Numbers,
    read_layers,
    tensors_needed,
    with_numbers,
)
from reluflow.graph.tuning.part import take_part
from reluflow.graph.view.batch_training import normalises_by_batch
from reluflow.graph.view.comparable import (
    check_fully,
    has_narrow_floats,
    replaceable_inputs,
    rounds_activations,
)
from reluflow.graph.view.outputs import (
    makes_tensor,
    output_makers,
    output_shapes,
)
from reluflow.graph.view.unrunnable import why_unrunnable

__all__ = [
    "Activation",
    "Beside",
    "ByteRounding",
    "Chain",
    "Chain16Changes",
    "ChainChanges",
    "ChainFormat",
    "ChainedNode",
    "ConvertedNode",
    "CutOff",
    "Decoded",
    "Equalised",
    "Fold",
    "Folded",
    "HashedTap",
    "Inlined",
    "LabelledNode",
    "Layer",
    "LeftOut",
    "MixedTensor",
    "Model",
    "Numbers",
    "Operation",
    "PlannedNode",
    "PooledHead",
    "Program",
    "Pruned",
    "PsbChanges",
    "PsbNode",
    "PsbOptions",
    "PsbPlan",
    "Raised",
    "Reads",
    "Refused",
    "RegionalTensor",
    "Rewritten",
    "SaturationCounts",
    "ScalableChannels",
    "SlimmedSite",
    "SpatialEnd",
    "SpatialGraph",
    "SpelledOut",
    "Succession",
    "Survey",
    "SwitchSite",
    "Tap",
    "Unrounded",
    "WeightInput",
    "annotate",
    "bake_samples",
    "blocked_probe",
    "bound_shapes",
    "byte_rounding",
    "chain_both",
    "chain_formats",
    "chain_psb",
    "chain_psb16",
    "check_fully",
    "count_multiply_adds",
    "count_saturation",
    "cut_tail",
    "equalise",
    "expose",
    "find_activations",
    "find_chains",
    "find_label",
    "find_pooled_head",
    "find_psb",
    "find_sites",
    "find_successions",
    "fold_batchnorm",
    "fold_pads",
    "has_convolutions",
    "has_narrow_floats",
    "hash_taps",
    "inline_psb",
    "keep_pooled_formats",
    "label_nodes",
    "last_layers",
    "load",
    "load_apart",
    "makes_tensor",
    "mix_passes",
    "normalises_by_batch",
    "output_makers",
    "output_shapes",
    "own_samples",
    "plan_psb",
    "prune",
    "psb_alone",
    "psb_in_floats",
    "psb_inputs",
    "read_blocked",
    "read_layers",
    "read_program",
    "read_spatial",
    "read_weights",
    "replaceable_inputs",
    "rounds_activations",
    "scalable_channels",
    "scale_channels",
    "slim_units",
    "spell_out",
    "survey_sites",
    "switches_apart",
    "take_part",
    "tap",
    "tensors_needed",
    "to_psb",
    "to_regional",
    "unround_activations",
    "upgrade",
    "use_batch_statistics",
    "weights_as_inputs",
    "why_unrunnable",
    "with_activations",
    "with_byte_rounding",
    "with_input_defaults",
    "with_numbers",
    "with_own_samples",
    "with_sample_factors",
    "with_sampler",
    "with_wide_activations",
    "without_input_defaults",
]
