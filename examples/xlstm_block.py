"""A block as xLSTM stacks them: norm, causal convolution, sLSTM with heads, group norm, gated projection.

python xlstm_block.py

Twelve blocks of width 512 with four heads, about the recurrent part of a TiRex, over 2048 steps of one
sequence; its output is that of the steps one by one, too. Weights are random.
"""

import time

import numpy as np

import fastlstm

WIDTH, HEADS, BLOCKS, STEPS, KERNEL = 512, 4, 12, 2048, 4


class Block:
    """One block over (T, WIDTH) steps. Its state is the last inputs of the convolution, and the cell's."""

    def __init__(self, rng):
        self.norm, self.norm_after = fastlstm.LayerNorm(WIDTH), fastlstm.LayerNorm(WIDTH)
        self.kernel = rng.standard_normal((KERNEL, WIDTH)).astype(np.float32) / KERNEL
        # Two of the gates see the convolution's output, and two its input: the cell reads both.
        self.cell = fastlstm.SLSTM(2 * WIDTH, WIDTH, heads=HEADS, rng=rng)
        self.gains = np.ones(WIDTH, np.float32)
        inner = 4 * WIDTH // 3 // 64 * 64
        self.up = fastlstm.Linear(WIDTH, 2 * inner, rng=rng)
        self.down = fastlstm.Linear(inner, WIDTH, rng=rng)

    def start(self):
        """Return the state before the first step."""
        return np.zeros((KERNEL - 1, WIDTH), np.float32), None

    def __call__(self, x, state):
        """Return y, (T, WIDTH), and the state after."""
        tail, states = state
        given = self.norm(x)
        padded = np.concatenate([tail, given])
        smooth = sum(self.kernel[k] * padded[k : k + len(x)] for k in range(KERNEL))
        smooth *= 1 / (1 + np.exp(-smooth))
        h, states = self.cell(np.concatenate([smooth, given], axis=1), states)
        x = x + self.by_head(h)
        gate, value = np.split(self.up(self.norm_after(x)), 2, axis=1)
        gate *= 1 / (1 + np.exp(-1.702 * gate))  # GELU, nearly
        return x + self.down(gate * value), (padded[-(KERNEL - 1) :], states)

    def by_head(self, h):
        """Return h with each head's numbers normalised."""
        heads = h.reshape(len(h), HEADS, -1)
        heads = heads - heads.mean(axis=2, keepdims=True)
        heads /= np.sqrt((heads**2).mean(axis=2, keepdims=True) + 1e-5)
        return heads.reshape(h.shape) * self.gains


def run(blocks, x, states):
    """Return what a stack of blocks gives, and its states after."""
    after = []
    for block, state in zip(blocks, states, strict=True):
        x, state = block(x, state)
        after.append(state)
    return x, after


def main():
    """Time the stack, and check its steps against the whole."""
    rng = np.random.default_rng(0)
    blocks = [Block(rng) for _ in range(BLOCKS)]
    x = rng.standard_normal((STEPS, WIDTH)).astype(np.float32)
    start = [block.start() for block in blocks]
    y, _ = run(blocks, x, start)
    begin = time.perf_counter()
    run(blocks, x, start)
    seconds = time.perf_counter() - begin
    print(f"{BLOCKS} blocks, {STEPS} steps: {seconds:.2f} s, {seconds / STEPS * 1e6:.0f} us a step")
    states, farthest = start, 0.0
    for t in range(20):
        y_t, states = run(blocks, x[t : t + 1], states)
        farthest = max(farthest, float(np.abs(y_t[0] - y[t]).max()))
    print(f"step by step: at most {farthest:.1e} away")


if __name__ == "__main__":
    main()
