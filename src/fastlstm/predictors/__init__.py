"""What estimators predict with: the part of them that needs no scikit-learn.

It is what `fastlstm.load` gives where scikit-learn is not installed.
"""

from ._scaling import Standardisation
from .base import Predictor
from .classifier import Classifier
from .forecaster import Forecaster
from .regressor import Regressor

__all__ = ["Classifier", "Forecaster", "Predictor", "Regressor", "Standardisation"]
