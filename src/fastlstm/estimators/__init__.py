"""LSTMs in scikit-learn's protocol: arrays, lists of them and frames in; needs scikit-learn."""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("fastlstm.estimators needs scikit-learn: pip install 'fastlstm[sklearn]'") from error

from .classifier import LSTMClassifier
from .forecaster import LSTMForecaster
from .regressor import LSTMRegressor
from .scaler import SequenceScaler

__all__ = ["LSTMClassifier", "LSTMForecaster", "LSTMRegressor", "SequenceScaler"]
