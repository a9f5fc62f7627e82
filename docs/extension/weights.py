"""Weights of an explicit network as mathematics."""

from fractions import Fraction
from typing import Any

MOST_ENTRIES = 80  # a reader takes in no more


def entry(number: Any) -> str:
    """An exact fraction where it is short, else four digits."""
    exact = Fraction(number)
    if exact.denominator == 1 and abs(exact.numerator) < 10**6:
        return str(exact.numerator)
    if exact.denominator <= 4096 and abs(exact.numerator) < 10**6:
        sign = "-" if exact < 0 else ""
        return rf"{sign}\tfrac{{{abs(exact.numerator)}}}{{{exact.denominator}}}"
    return f"{float(exact):.4g}"


def matrix(rows: Any) -> str:
    """A LaTeX matrix; a vector is a column."""
    lines = [[row] if getattr(row, "ndim", 0) == 0 else list(row) for row in rows]
    return r"\begin{pmatrix} " + r" \\ ".join(" & ".join(map(entry, line)) for line in lines) + r" \end{pmatrix}"


def formulas(network: Any) -> list[str]:
    """One formula a layer, layers that repeat in one line; empty where the network is too large to be read."""
    if network.size.num_params > MOST_ENTRIES:
        return []
    layers = [(matrix(layer.weight), matrix(layer.bias)) for layer in network.layers]
    lines: list[str] = []
    first = 0
    for index, layer in enumerate(layers):
        if index + 1 < len(layers) and layers[index + 1] == layer:
            continue
        names = ", ".join(f"W_{{{i + 1}}}" for i in (first, index)[: 1 + (index > first)])
        names = names.replace(", ", r" = \dots = ") if index > first + 1 else names.replace(", ", " = ")
        biases = names.replace("W", "b")
        lines.append(rf"{names} = {layer[0]}, \qquad {biases} = {layer[1]}")
        first = index + 1
    return lines
