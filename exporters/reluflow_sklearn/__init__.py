"""reluflow for scikit-learn: MLPs steered by what a step changes, their D, and export to ONNX."""

from reluflow_sklearn.distance import step_curves, step_distance
from reluflow_sklearn.estimators import ActCoolMLPClassifier, ActCoolMLPRegressor
from reluflow_sklearn.export import export

__all__ = [
    "ActCoolMLPClassifier",
    "ActCoolMLPRegressor",
    "export",
    "step_curves",
    "step_distance",
]
