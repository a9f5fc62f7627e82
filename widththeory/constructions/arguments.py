"""Arguments of constructions: Python's numbers, whatever a table gave them as, in a range; what memory holds."""

import dataclasses
import math
import reprlib
import sys
import types
import typing
from fractions import Fraction
from typing import Any

import numpy as np

from widththeory.typing import Size

BUILT = 18
COUNTED = 24
LARGEST = 1e150  # of lengths and frequencies: their squares are floats


def keep_python_numbers(construction: Any) -> None:
    """Replace NumPy's numbers in the fields of a frozen dataclass, and in tuples there, by the equal ones of Python.

    NumPy's integers overflow in silence, lack methods that Python's have, and stay inside Fractions; a float32 rounds
    what is computed from it. Lists become tuples. A Fraction is taken wherever a float is, and rounded to one where the
    annotation has no Fraction, as arrays of NumPy's functions may not hold it.

    Raises:
        ValueError: no number, tuple, name or truth value where the annotation has one; a number beyond float64, or
            beyond 1e150 for a field of floats; a size, as all integers but seeds are, of more than 2^24.
    """
    for field in dataclasses.fields(construction):
        value = _plain(getattr(construction, field.name))
        object.__setattr__(construction, field.name, _taken(field.name, value, field.type))


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _taken(name: str, value: Any, annotation: Any) -> Any:
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    if typing.get_origin(annotation) is tuple:
        if not isinstance(value, tuple):
            raise ValueError(f"{name} must be a tuple, got {shown(value)}")
        return tuple(_taken(f"{name}[{i}]", entry, typing.get_args(annotation)[0]) for i, entry in enumerate(value))
    if float in kinds:
        largest = sys.float_info.max if Fraction in kinds else LARGEST
        # NaN and infinity have their sentence where the range of the field is
        size: Any = abs(value) if isinstance(value, int | float | Fraction) and not isinstance(value, bool) else None
        if size is None or largest < size != math.inf:
            raise ValueError(f"{name} must be a real number of at most {largest:.4g} in size, got {shown(value)}")
        return float(value) if isinstance(value, Fraction) and Fraction not in kinds else value
    if annotation in (str, bool):
        if not isinstance(value, annotation):
            raise ValueError(f"{name} must be a {annotation.__name__}, got {shown(value)}")
    elif isinstance(value, int) and value > 2**COUNTED and not name.endswith("seed"):
        raise ValueError(f"{name} must be at most 2^{COUNTED}, got {shown(value)}")
    return value


def shown(value: Any) -> str:
    """For a message: integers of hundreds of digits by their size."""
    size: Any = abs(value) if isinstance(value, int | Fraction) and not isinstance(value, bool) else 0
    if size >= 2**64:
        return f"some {'-' if value < 0 else ''}2^{int(size).bit_length() - 1}"
    return reprlib.repr(value)


def grid_size(per_axis: int, dim: int, log2_most: int = COUNTED) -> int:
    """per_axis^dim.

    Args:
        log2_most: of the largest size. To count 2^24 = 2^`COUNTED` places takes a second and a few hundred MB, to build
            layers of 2^18 = 2^`BUILT` some ten seconds.

    Raises:
        ValueError: it is more than 2^log2_most.
    """
    if per_axis > 1 and (dim > log2_most or dim * math.log2(per_axis) > log2_most):
        raise ValueError(
            f"a grid of {shown(per_axis)} along each of {shown(dim)} axes has more than 2^{log2_most} places"
        )
    return per_axis**dim


def check_counted(depth: int) -> None:
    """Raise ValueError for more than 2^24 hidden layers."""
    if depth > 2**COUNTED:
        raise ValueError(f"the network has more than 2^{COUNTED} hidden layers, the most that are counted")


def equal_widths(width: int, depth: int) -> tuple[int, ...]:
    """Widths of `depth` hidden layers; raises as `check_counted`."""
    check_counted(depth)
    return (width,) * depth


def check_built(size: Size) -> None:
    """Raise ValueError for a network of more than 2^18 hidden layers or 2^27 numbers, 1 GiB: it can be counted only."""
    if size.depth > 2**BUILT or size.num_params > 2**27:
        raise ValueError(
            f"a network of {size.depth} hidden layers and {shown(size.num_params)} numbers is not built: "
            f"at most 2^{BUILT} layers and 2^27 numbers are; size() counts without building"
        )
