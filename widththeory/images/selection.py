"""Choosing some images of a labelled set: the same ones every time, as many of each class as of any other."""

import numpy as np
from jaxtyping import Int

from widththeory.images.record import Labels
from widththeory.typing import check_positive_int


def check_number(number: int | None, there: int, name: str) -> int:
    """How many images are taken of those that are there; None takes all.

    Raises: ValueError: `number`, which the caller knows as `name`, is below 1 or above what there is.
    """
    if number is None:
        return there
    if check_positive_int(name, number) > there:
        raise ValueError(f"{name} must be at most the {there} images there are, got {number}")
    return number


def balanced(labels: Labels, number: int | None, name: str) -> Int[np.ndarray, "chosen"]:
    """Indices, in order, of `number` images: the first of each class, then the second of each, and so on.

    A larger number only adds images. None takes all.

    Raises: ValueError: `number`, which the caller knows as `name`, is below 1 or above what there is.
    """
    check_number(number, len(labels), name)
    if number is None:
        return np.arange(len(labels))
    by_class = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[by_class], labels[by_class])
    rank = np.empty(len(labels), int)
    rank[by_class] = np.arange(len(labels)) - first
    return np.sort(np.lexsort((labels, rank))[:number])
