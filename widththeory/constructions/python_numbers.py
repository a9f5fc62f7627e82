"""Arguments of constructions as Python's numbers, whatever a table or an array gave them as."""

import dataclasses
from typing import Any

import numpy as np


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
