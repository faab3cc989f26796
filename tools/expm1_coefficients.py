"""Print the polynomial coefficients that `kernels/activations.h` uses for exp(r) - 1.

On |r| <= ln(2)/2 the kernels write exp(r) - 1 = r + r^2 q(r). The polynomial q is fitted here to
(exp(r) - 1 - r) / r^2 by Remez exchange, with the error weighted as it enters the result
(r^2 q(r) relative to exp(r) - 1, so by about r), in 60 digits. Needs mpmath.

    python tools/expm1_coefficients.py
"""

from mpmath import cos, expm1, log, lu_solve, matrix, mp, mpf, nstr, pi

mp.dps = 60
HALF_RANGE = log(2) / 2 * mpf("1.0001")


def target(r):
    """Return (exp(r) - 1 - r) / r^2 without cancellation."""
    if abs(r) < mpf(10) ** -15:
        return mpf(1) / 2 + r / 6 + r * r / 24
    return (expm1(r) - r) / r**2


def weight(r):
    """Return the share of an error in q that reaches exp(r) - 1, in relative terms."""
    return abs(r * r / expm1(r)) if r else mpf(0)


def remez(degree, rounds=8):
    """Return the coefficients of q, lowest first, and the largest weighted error."""
    count = degree + 2
    nodes = [HALF_RANGE * cos(pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    grid = [HALF_RANGE * (mpf(2 * k) / 2000 - 1) for k in range(2001)]
    for _ in range(rounds):
        rows = [
            [r**j for j in range(degree + 1)] + [(-1) ** k / max(weight(r), mpf("1e-6"))]
            for k, r in enumerate(nodes)
        ]
        solution = lu_solve(matrix(rows), matrix([target(r) for r in nodes]))
        coefficients = list(solution)[: degree + 1]

        def error(r, coefficients=coefficients):
            return (sum(c * r**j for j, c in enumerate(coefficients)) - target(r)) * weight(r)

        errors = [error(r) for r in grid]
        # One extremum from each run of equal sign, the largest runs kept.
        extrema, start = [], 0
        for k in range(1, len(grid) + 1):
            if k == len(grid) or errors[k] * errors[start] < 0:
                extrema.append(max(range(start, k), key=lambda i: abs(errors[i])))
                start = k
        while len(extrema) > count:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        if len(extrema) < count:
            break
        nodes = [grid[k] for k in extrema]
    return coefficients, max(abs(e) for e in errors)


if __name__ == "__main__":
    for name, degree, bits in (("f32", 4, 24), ("f32", 5, 24), ("f64", 10, 53), ("f64", 11, 53)):
        coefficients, error = remez(degree)
        print(f"{name}: degree {degree}, relative error {nstr(error * 2**bits, 3)} ulp")
        for c in coefficients:
            with mp.workprec(bits):
                print("   ", float(+c).hex(), nstr(+c, 17))
    for bits in (24, 53):
        with mp.workprec(bits):
            high = +log(2)
        low = log(2) - high
        with mp.workprec(bits):
            print(f"ln 2 in {bits} bits: {float(high).hex()} + {float(+low).hex()}")
