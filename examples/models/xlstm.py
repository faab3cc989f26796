"""xlstm: a block with an sLSTM, as twelve of them are most of a TiRex, made of the package's own module.

pip install --no-deps xlstm (which needs torch)
"""

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
    for row, name in enumerate("fizo"):  # what is called fgate there is i; i and f read what was smoothed
        for head, weight in enumerate(own[f"xlstm.{name}gate.weight"]):
            read[row, head, :, row // 2, head] = weight
    hh = own["xlstm.slstm_cell._recurrent_kernel_"].reshape(heads, 4, size, size).swapaxes(0, 1)
    bias = own["xlstm.slstm_cell._bias_"]
    cell = {"weight_ih_l0": read.reshape(4 * width, -1), "weight_hh_l0": hh.reshape(4 * width, size)}
    cell |= {"bias_ih_l0": bias, "bias_hh_l0": 0 * bias}
    conv = {name: own[f"xlstm.conv1d.conv.{name}"] for name in ("weight", "bias")}
    norm, even, norm_after = (
        {"weight": 1 + own[f"{name}norm.weight"]} for name in ("xlstm_", "xlstm.group_", "ffn_")
    )
    return fastlstm.Graph(
        {
            "norm": fastlstm.LayerNorm(width).update(norm),
            "conv": fastlstm.Conv1d(width, width, 4, padding="causal", groups=width).update(conv),
            "open": fastlstm.Sigmoid(),
            "smooth": (fastlstm.Multiply(), "conv", "open"),
            "both": (fastlstm.Concat(), "smooth", "norm"),
            "cell": fastlstm.SLSTM(2 * width, width, heads=heads).update(cell),
            "even": fastlstm.GroupNorm(heads, width, over_time=False).update(even),
            "skip": (fastlstm.Add(), "x", "even"),
            "norm_after": fastlstm.LayerNorm(width).update(norm_after),
            "gate": matrix(gate),
            "gelu": fastlstm.GELU(),
            "value": (matrix(value), "norm_after"),
            "product": (fastlstm.Multiply(), "gelu", "value"),
            "down": matrix(own["ffn.proj_down.weight"]),
            "y": (fastlstm.Add(), "skip", "down"),
        }
    )
