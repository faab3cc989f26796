"""xlstm: a block with an sLSTM, as twelve of them are most of a TiRex, made of the package's own module.

pip install --no-deps xlstm (which needs torch)
"""

import itertools

import numpy as np

import fastlstm


def matrix(weight):
    """Return a layer without bias."""
    return fastlstm.Linear(weight.shape[1], len(weight), bias=False).update({"weight": weight})


def block_of(module):
    """Return an `xlstm.sLSTMBlock` as a graph, from (T, B, width) to (T, B, width)."""
    own = {name: array.detach().numpy() for name, array in module.state_dict().items()}
    heads, _, size = own["xlstm.fgate.weight"].shape
    width, (gate, value) = heads * size, np.split(own["ffn.proj_up.weight"], 2)
    read = np.zeros((4, heads, size, 2, heads, size), np.float32)
    # What is called fgate there is i; i and f read what was smoothed.
    for (row, name), head in itertools.product(enumerate("fizo"), range(heads)):
        read[row, head, :, row // 2, head] = own[f"xlstm.{name}gate.weight"][head]
    hh = own["xlstm.slstm_cell._recurrent_kernel_"].reshape(heads, 4, size, size).swapaxes(0, 1)
    cell = {"weight_ih_l0": read.reshape(4 * width, -1), "weight_hh_l0": hh.reshape(4 * width, size)}
    cell |= {"bias_ih_l0": own["xlstm.slstm_cell._bias_"], "bias_hh_l0": np.zeros(4 * width)}
    conv = {name: own[f"xlstm.conv1d.conv.{name}"] for name in ("weight", "bias")}
    norms = ({"weight": 1 + own[f"{name}norm.weight"]} for name in ("xlstm_", "xlstm.group_", "ffn_"))
    layers = {
        "norm": fastlstm.LayerNorm(width).update(next(norms)),
        "conv": fastlstm.Conv1d(width, width, 4, padding="causal", groups=width).update(conv),
        "smooth": fastlstm.SiLU(),
        "both": (fastlstm.Concat(), "smooth", "norm"),
        "cell": fastlstm.SLSTM(2 * width, width, heads=heads).update(cell),
        "even": fastlstm.GroupNorm(heads, width, over_time=False).update(next(norms)),
        "skip": (fastlstm.Add(), "x", "even"),
        "norm_after": fastlstm.LayerNorm(width).update(next(norms)),
        "gate": matrix(gate),
        "gelu": fastlstm.GELU(),
        "value": (matrix(value), "norm_after"),
        "product": (fastlstm.Multiply(), "gelu", "value"),
        "down": matrix(own["ffn.proj_down.weight"]),
    }
    return fastlstm.Graph(layers | {"y": (fastlstm.Add(), "skip", "down")})
