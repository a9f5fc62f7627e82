"""Arguments of constructions: Python's numbers, whatever a table gave them as, and grids that memory holds."""

import dataclasses
import math
from typing import Any

import numpy as np

BUILT = 18


def keep_python_numbers(construction: Any) -> None:
    """Replace NumPy's numbers in the fields of a frozen dataclass, and in tuples there, by the equal ones of Python.

    NumPy's integers overflow in silence, lack methods that Python's have, and stay inside Fractions; a float32 rounds
    what is computed from it.
    """
    for field in dataclasses.fields(construction):
        object.__setattr__(construction, field.name, _plain(getattr(construction, field.name)))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def grid_size(per_axis: int, dim: int, log2_most: int = 24) -> int:
    """per_axis^dim.

    Args:
        log2_most: of the largest size. To count 2^24 places takes a second and a few hundred MB, to build layers of
            2^18 = 2^`BUILT` some ten seconds.

    Raises:
        ValueError: it is more than 2^log2_most.
    """
    if dim * math.log2(per_axis) > log2_most:
        raise ValueError(f"a grid of {per_axis} along each of {dim} axes has more than 2^{log2_most} places")
    return per_axis**dim
