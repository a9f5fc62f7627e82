"""Enclosures of numbers that are not negative, such as distances and floors."""


def at_least_zero(value: float, error: float) -> tuple[float, float]:
    """Value and error of a number of at least 0 that is within `error` of `value`: an error above it proves nothing.

    Source: derived for this project.
    """
    if error <= value:
        return float(value), float(error)
    half = 0.5 * max(float(value + error), 0.0)  # in this order NaN stays NaN, which no certificate takes
    return half, half
