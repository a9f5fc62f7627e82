"""The best sum of ridge functions on equispaced lines as a ball: the whole plane is integrated, with proven errors.

The density of the law in the plane is q(x) = (J_1(|x|) / |x|)^2 / pi, entire in x, and at most e^(2 |Im x|) / (4 pi):
|J_1(z) / z| <= e^|Im z| / 2 (Poisson's integral), and z^2 = x.x has |Im z| <= |Im x|. Its marginal on a line is
m(s) = 8 / (3 pi^2) 1F2(1; 3/2, 5/2; -s^2) <= m(0) e^(2 |Im s|), the transform of the overlap of two discs.

Two lines at an angle theta in (0, pi/2]: in s = <v, x> and t = <v', x>, x.x is u(s, t) = (s - t)^2 / sin^2 theta +
s t / cos^2(theta / 2), and the Jacobian 1 / sin theta. As hats are even, products of them integrate Q = 2 (q(u(s, t)) +
q(u(s, -t))) / sin theta over s, t in [0, T]. Q is replaced by its interpolant at N x N Gauss-Legendre nodes, and
moments of hats with Legendre polynomials are second differences of the polynomials' second antiderivatives. Where
|Im s|, |Im t| <= y, |Im x| <= y / sin(theta / 2). If |Q| <= M on ellipses of ratio r, Chebyshev coefficients are
at most 4 M r^(-i-j), so that Q is within E = 8 M r^-N / (1 - 1/r)^2 of a polynomial of degree N - 1 in both; both
that remainder and its interpolant, whose square the rule integrates exactly, have an L2 norm over [0, T]^2 of at most
T E, and two hats one of 2 h / 3, so that the error of their moment is at most 4 h T E / 3.

The right side needs B(c) = E g(t) (|<v, x>| - c)_+ = (4 / pi) int (J_1(r) / r)^2 g(r) y K(y) dy, where r^2 = c^2 + y^2
and K = y - c arctan(y / c); hats are its second differences. Panels stay clear of K's branch points at +-i c.
"""

import math
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from widththeory.bounds.rigorous import flint, rational
from widththeory.bounds.rigorous_law import bessel
from widththeory.bounds.rigorous_wave import IMAGINARY, SIGNED, Ball, Complex, Wave, _legendre, _Panel, second_moment
from widththeory.typing import check_positive_int

Matrix = flint.arb_mat
_GUARD = 64  # bits for what the solution of the normal equations loses


def best_ridge_error(wave: Wave, num_lines: int, *, spacing: int | float = 0.1) -> Ball:
    """`ridge_sum.best_ridge_error` as a ball: (E g^2 - b^T A^-1 b) / E g^2 with the normal equations' A and b.

    Hats are piecewise linear with knots `spacing` = h apart on |t| <= T, where T = n h and n = ceil(2 window[1] / h),
    and 0 from T on. A is k sum_i M(i pi / k) and b is k times the moments of g with hats on one line.

    Args:
        wave: in dimension 2, of order 0.
        num_lines: k, at least 1.
        spacing: distance of knots, positive and below window[1].

    Error:
        The radius: quadrature and rounding, near 2^-precision. It includes the whole plane, where the float function
        states what |x| beyond 16 window[1] could add. For T = 16: 1 s for one line, 2 s for 4 lines and 25 s for 20
        with knots 0.1 apart, of which knots take little: nodes between lines at the angle theta grow as T / theta.

    Raises:
        ValueError: a wave of another dimension or order, or an argument out of range.

    Source: derived for this project.
    """
    check_positive_int("num_lines", num_lines)
    if wave.input_dim != 2 or wave.order != 0:
        raise ValueError(f"wave must have input_dim 2 and order 0, got {wave.input_dim} and {wave.order}")
    if not 0 < spacing < wave.window[1]:
        raise ValueError(f"spacing must be positive and below the window's end {wave.window[1]!r}, got {spacing!r}")
    num_knots = math.ceil(Fraction(2 * wave.window[1]) / Fraction(spacing))  # a float quotient may round to less
    moment = second_moment(wave)
    with flint.ctx.workprec(wave.precision + _GUARD):
        step = rational(spacing)
        gram = _same_line(num_knots, step)
        for line in range(1, num_lines // 2 + 1):
            twice = 1 if 2 * line == num_lines else 2  # theta and pi - theta agree: hats are even
            gram += twice * _two_lines(Ball.pi() * line / num_lines, num_knots, step)
        right = _right_side(wave, num_knots, step)
        explained = num_lines * (right.transpose() * gram.solve(right))[0, 0]
    with flint.ctx.workprec(wave.precision):
        return 1 - explained / moment


def _density(squared: Ball) -> Ball:
    """q where x.x is this."""
    radius = squared.sqrt()
    return (bessel(Ball(1), radius) / radius) ** 2 / Ball.pi()


def _marginal(place: Ball) -> Ball:
    """m(s)."""
    return 8 * Complex(-(place**2)).hypgeom([1], [1.5, 2.5]).real / (3 * Ball.pi() ** 2)


def _same_line(num_knots: int, step: Ball) -> Matrix:
    """Moments of two hats of one line: three products in each cell."""
    first = _Panel(Ball(0), step)

    def size(reach: Ball, depth: Ball) -> Ball:
        return 8 * (2 * depth).exp() / (3 * Ball.pi() ** 2) * ((1 + reach / first.half) / 2) ** 2

    num_nodes, error = first.resolve(size, flint.ctx.prec)
    gram = [[Ball(0)] * num_knots for _ in range(num_knots)]
    for cell in range(num_knots):
        panel = _Panel(cell * step, (cell + 1) * step)
        down = mixed = up = error * SIGNED
        for place, weight in panel.nodes(num_nodes):
            share = place / step - cell
            mass = weight * _marginal(place)
            down, mixed, up = down + mass * (1 - share) ** 2, mixed + mass * share * (1 - share), up + mass * share**2
        gram[cell][cell] += 2 * down
        if cell + 1 < num_knots:
            gram[cell][cell + 1] += 2 * mixed
            gram[cell + 1][cell] += 2 * mixed
            gram[cell + 1][cell + 1] += 2 * up
    return Matrix(gram)


def _two_lines(angle: Ball, num_knots: int, step: Ball) -> Matrix:
    """Moments of a hat of one line and a hat of another, at most a right angle away."""
    end, sine = num_knots * step, angle.sin()
    rate = 2 / (angle / 2).sin()
    num_nodes, error = _interpolation(rate * end / 2, 1 / (Ball.pi() * sine), flint.ctx.prec)
    nodes = [end * (1 + x) / 2 for x, _ in _legendre(num_nodes, flint.ctx.prec)]
    apart, near, far = sine**-2, (angle / 2).cos() ** -2, (angle / 2).sin() ** -2
    values = [[Ball(0)] * num_nodes for _ in range(num_nodes)]
    for i, s in enumerate(nodes):
        for j, t in enumerate(nodes[: i + 1]):
            square, product = (s - t) * (s - t) * apart, s * t  # ** 2 of a ball about zero itself is NaN
            value = 2 * (_density(square + product * near) + _density(square + product * far)) / sine
            values[i][j] = values[j][i] = value
    hats = _hat_weights(num_knots, num_nodes, flint.ctx.prec) * step
    gram = hats * Matrix(values) * hats.transpose()
    slack = 4 * step * end * error / 3 * SIGNED
    return gram + Matrix(num_knots, num_knots, [slack] * num_knots**2)


def _interpolation(rate: Ball, size: Ball, precision: int) -> tuple[int, Ball]:
    """N and the bound E for a function of [-1, 1]^2 at most `size` e^(rate y) where imaginary parts are at most y."""
    best, error = 10**9, Ball(0)
    for k in range(1, 40):
        ratio = 1 + 30 * Ball(0.8) ** k
        bound = 8 * size * (rate * (ratio - 1 / ratio) / 2).exp() / (1 - 1 / ratio) ** 2
        wanted = max(2, math.ceil((float(bound.log()) + precision * math.log(2)) / float(ratio.log())))
        if wanted < best:
            best, error = wanted, (bound * ratio**-wanted).abs_upper()
    return best, error


@lru_cache(maxsize=16)
def _hat_weights(num_knots: int, num_nodes: int, precision: int) -> Matrix:
    """Weights at the nodes that integrate hats of step 1 times polynomials of degrees below the number of nodes."""
    rule, half = _legendre(num_nodes, precision), Ball(num_knots) / 2
    moments = [[Ball(0)] * num_nodes for _ in range(num_knots)]
    with flint.ctx.workprec(precision + 2 * num_nodes):  # the recursion widens balls by at most 1 + sqrt(2) a step
        sums = []
        for knot in range(num_knots + 1):
            z, values = rational(2 * knot) / num_knots - 1, [Ball(1)]
            values.append(z)
            for m in range(1, num_nodes + 2):
                values.append(((2 * m + 1) * z * values[m] - m * values[m - 1]) / (m + 1))
            once = [z, *((values[m + 1] - values[m - 1]) / (2 * m + 1) for m in range(1, num_nodes + 1))]
            twice = [z**2 / 2, z**3 / 6 - z / 2]
            twice += [(once[m + 1] - once[m - 1]) / (2 * m + 1) for m in range(2, num_nodes)]
            sums.append((once, twice))
        for m in range(num_nodes):
            moments[0][m] = half * ((sums[1][1][m] - sums[0][1][m]) * half - sums[0][0][m])
            for knot in range(1, num_knots):
                before, here, after = (sums[at][1][m] for at in (knot - 1, knot, knot + 1))
                moments[knot][m] = half**2 * (before - 2 * here + after)
    legendre = [[weight * x.legendre_p(m) * (2 * m + 1) / 2 for x, weight in rule] for m in range(num_nodes)]
    return Matrix(moments) * Matrix(legendre)


def _right_side(wave: Wave, num_knots: int, step: Ball) -> Matrix:
    """Moments of g with the hats of one line."""
    mean = 2 * _integral(wave, Ball(0), with_kernel=False)
    ramps = [4 / Ball.pi() * _integral(wave, knot * step, with_kernel=True) for knot in range(num_knots + 1)]
    hats = [mean - (ramps[0] - ramps[1]) / step]
    hats += [(ramps[j - 1] - 2 * ramps[j] + ramps[j + 1]) / step for j in range(1, num_knots)]
    return Matrix([[value] for value in hats])


def _integral(wave: Wave, kink: Ball, with_kernel: bool) -> Ball:
    """Integral of (J_1(r) / r)^2 g(r) y over the radii r > c of the window, with K(y) or without."""
    start, stop, omega = (rational(x) for x in (*wave.window, wave.frequency))
    total = Ball(0)
    for low, high, falls in ((Ball(0), start, False), (start, stop, True)):
        if not high > kink:
            continue
        a, b = ((edge**2 - kink**2).nonnegative_part().sqrt() for edge in (low.max(kink), high))
        edges = [a]
        while kink > 0 and edges[-1] < b:
            edges.append((2 * edges[-1]).max(edges[-1] + kink).mid())
        edges = [*edges[:-1], b] if kink > 0 else [a, b]
        for left, right in pairwise(edges):
            panel = _Panel(left, right)

            def size(reach: Ball, depth: Ball, panel: _Panel = panel, falls: bool = falls) -> Ball:
                most = panel.middle + reach
                bound = most * (_kernel_size(panel, reach, depth, kink) if with_kernel else 1)
                return bound * ((2 + omega) * depth).exp() / 4 * (_fall(depth * IMAGINARY, start, stop) if falls else 1)

            # to the right of the branch points, or below them
            reach = max(float(0.9 * panel.middle / panel.half), float((1 + (0.9 * kink / panel.half) ** 2).sqrt()))
            num_nodes, error = panel.resolve(size, flint.ctx.prec, reach if kink > 0 else 16.0)
            total += error * SIGNED
            for y, weight in panel.nodes(num_nodes):
                r = (kink**2 + y**2).sqrt()
                value = weight * (bessel(Ball(1), r) / r) ** 2 * (omega * r).cos() * y
                value *= _fall(Complex(r - start), start, stop) if falls else 1
                total += value * (y - kink * (y / kink).atan() if kink > 0 else y) if with_kernel else value
    return total


def _fall(offset: Complex, start: Ball, stop: Ball) -> Ball:
    """chi on the window, or its largest modulus at an imaginary offset."""
    return (1 + (Ball.pi() * offset / (stop - start)).cos().real) / 2


def _kernel_size(panel: _Panel, reach: Ball, depth: Ball, kink: Ball) -> Ball:
    """|K| on the ellipse: |Re arctan z| < pi/2 and |Im arctan z| <= log((|z| + 1) / distance of z from +-i) / 2."""
    most = panel.middle + reach
    if not kink > 0:
        return most
    clear = (1 - depth / kink).max((panel.middle - reach) / kink)
    return most + kink * (Ball.pi() / 2 + ((most / kink + 1) / clear).log() / 2)
