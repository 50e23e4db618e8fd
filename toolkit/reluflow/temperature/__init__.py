"""How many activation patterns change from one state of a network to the next."""

from reluflow.errors import DivergenceError
from reluflow.temperature.controller import ActCool
from reluflow.temperature.crossing import (
    CrossingCurve,
    CrossingCurves,
    crossing_rates,
    curves_along,
    merged,
)
from reluflow.temperature.crossing.options import CrossingOptions
from reluflow.temperature.crossing_control import CoolingWarning, CrossingCool
from reluflow.temperature.divergence import (
    DivergenceAlarm,
    SigmaWatch,
    WatchOptions,
    transition_width,
)
from reluflow.temperature.fit import TransitionFit, fit_transition
from reluflow.temperature.options import ActCoolOptions
from reluflow.temperature.phase_diagram import PhaseDiagram
from reluflow.temperature.schedule import (
    CyclicSchedule,
    PowerSchedule,
    ProbabilitySchedule,
    Schedule,
    schedule_from_dict,
    start_for_steps,
    start_for_widths,
)
from reluflow.temperature.sensitivity import Sensitivity, default_rates, sweep
from reluflow.temperature.site_rates import SiteRates
from reluflow.temperature.steps.change import SiteDistance, StepDistance, distance_of, pooled
from reluflow.temperature.steps.distance import Temperature, distance, temperature
from reluflow.temperature.steps.meter import StatePatterns, StepMeter
from reluflow.temperature.theorem import Theorem1Check, check_theorem_1
from reluflow.temperature.transition import (
    ArctanTransition,
    ErfTransition,
    LogNormal,
    Transition,
    transition_from_dict,
)

__all__ = [
    "ActCool",
    "ActCoolOptions",
    "ArctanTransition",
    "CoolingWarning",
    "CrossingCool",
    "CrossingCurve",
    "CrossingCurves",
    "CrossingOptions",
    "CyclicSchedule",
    "DivergenceAlarm",
    "DivergenceError",
    "ErfTransition",
    "LogNormal",
    "PhaseDiagram",
    "PowerSchedule",
    "ProbabilitySchedule",
    "Schedule",
    "Sensitivity",
    "SigmaWatch",
    "SiteDistance",
    "SiteRates",
    "StatePatterns",
    "StepDistance",
    "StepMeter",
    "Temperature",
    "Theorem1Check",
    "Transition",
    "TransitionFit",
    "WatchOptions",
    "check_theorem_1",
    "crossing_rates",
    "curves_along",
    "default_rates",
    "distance",
    "distance_of",
    "fit_transition",
    "merged",
    "pooled",
    "schedule_from_dict",
    "start_for_steps",
    "start_for_widths",
    "sweep",
    "temperature",
    "transition_from_dict",
    "transition_width",
]
