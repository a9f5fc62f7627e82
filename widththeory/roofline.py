"""Work and traffic of a traced program: operations of its convolutions and matrix products, and the bytes they move.

Elementwise work is left out, as if it were done for nothing on the way: what is counted has to be done by any schedule
that keeps no operand of one product in a cache for the next. Beside a device's largest rate and its bandwidth this
gives the roofline of [williams2009].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any


@dataclass(frozen=True)
class Product:
    """One convolution or matrix product of a program.

    Args:
        kind: "conv" or "dot".
        flops: a multiply and an add each, zeros of padding counted.
        bytes: of both operands and of the result, each moved once.
        count: how often it runs, in loops of known length.
    """

    kind: str
    flops: int
    bytes: int
    count: int = 1


def products(program: Any) -> list[Product]:
    """The convolutions and matrix products of a program, from its trace; nothing is compiled.

    Args:
        program: what `jax.make_jaxpr(function)(*arguments)` gives, or `jax.jit(function).trace(*arguments).jaxpr`.

    Raises:
        ValueError: a product in a loop whose length is not known before it runs.
    """
    return list(_walk(program.jaxpr, 1))


def total(found: list[Product]) -> tuple[int, int]:
    """Floating-point operations and bytes of all."""
    return sum(one.flops * one.count for one in found), sum(one.bytes * one.count for one in found)


def _walk(jaxpr: Any, count: int) -> Iterator[Product]:
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in ("conv_general_dilated", "dot_general"):
            yield Product(name.partition("_")[0], _flops(equation), _bytes(equation), count)
            continue
        inner = [part for value in equation.params.values() for part in _jaxprs(value)]
        if name == "while" and any(list(_walk(part, 1)) for part in inner):
            raise ValueError("the program has a product in a loop of unknown length")
        for part in inner:
            yield from _walk(part, count * (equation.params["length"] if name == "scan" else 1))


def _jaxprs(value: Any) -> Iterator[Any]:
    """The programs in a parameter of an equation."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _jaxprs(item)
    elif hasattr(value, "eqns"):
        yield value
    elif hasattr(value, "jaxpr"):
        yield value.jaxpr


def _flops(equation: Any) -> int:
    (left, right), (out,) = ([one.aval.shape for one in side] for side in (equation.invars, equation.outvars))
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return 2 * prod(out) * prod(left[axis] for axis in contracted)
    # dimension_numbers.rhs_spec: the axes of features out, features in (of one group), then space
    _, *summed = equation.params["dimension_numbers"].rhs_spec
    return 2 * prod(out) * prod(right[axis] for axis in summed)


def _bytes(equation: Any) -> int:
    avals = [one.aval for one in (*equation.invars, *equation.outvars)]
    return sum(prod(aval.shape) * aval.dtype.itemsize for aval in avals)
