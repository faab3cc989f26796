"""Pictures of what goes on inside recurrent models, and of how they learn; needs matplotlib.

Every function draws on what it is given, or on a new figure of its own that `pyplot` knows nothing of, and
returns the axes: `ax.figure.savefig("picture.png")` writes the picture, with no screen needed.
"""

try:
    from matplotlib.backend_bases import FigureCanvasBase as _Canvas
except ImportError as error:
    raise ImportError("fastlstm.plot needs matplotlib: pip install 'fastlstm[plot]'") from error

from .curves import history, reach
from .diagrams import (
    gru_module,
    input_forget_module,
    layer_norm_module,
    lstm_module,
    peepholes_module,
    rnn_module,
    slstm_module,
)
from .heat_maps import trace

FORMATS = tuple(_Canvas.get_supported_filetypes())
"""What names of pictures may end in."""

__all__ = [
    "FORMATS",
    "gru_module",
    "history",
    "input_forget_module",
    "layer_norm_module",
    "lstm_module",
    "peepholes_module",
    "reach",
    "rnn_module",
    "slstm_module",
    "trace",
]
