"""`radial_projection` as a ball: what a projection of the point tells of a radial function, rounding included.

With s = |P x|, rho = |x| = s cosh(w) and q = n - r - 1, the moments of `radial_projection` are

    m_j(s) = (2 / B(r/2, (n - r)/2)) int profile^j p tanh(w)^q cosh(w)^(1 - r) dw.

The floor is E f^2 - int m_1^2 / m_0 ds, f less its mean. Radii are cut into shells of ratio at most 2. Between two cuts
s = cut / cosh(v), cut the upper one, takes away the root that limits of w have there; where rho is at least one shell
away, rho itself is the variable.

On a panel of v let x_i be N Gauss-Legendre nodes, g the polynomial of degree N - 1 with g = m_1 / m_0 at all of them
and E the ellipse about the panel whose semiaxes have the sum R, in half-lengths. With W dv = ds and D = m_1 - g m_0,

    int W m_1^2 / m_0 dv = int W (2 g m_1 - g^2 m_0) dv + int W D^2 / m_0 dv.

The first integrand is analytic, and equal to W m_1^2 / m_0 at the nodes: the rule errs by at most (64/15) M R^(-2N) /
(1 - R^-2) half-lengths (see `rigorous_wave`), M its largest modulus on E. D vanishes at the nodes, so that D / P_N, P_N
the Legendre polynomial, is analytic, and |D| <= max_E |D| / min_E |P_N| on the panel. There m_0 is bounded from below
by its own interpolant, with an error of the same kind. Nothing is divided by m_0 off the panel.

Moments are such rules too, over cells of shells. Maxima are those on boxes that cover both ellipses (see
`rigorous_interpolation`). Panels and cells are halved until all errors are small.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from widththeory.bounds.radial_law import RadialLaw
from widththeory.bounds.rigorous import flint, rational
from widththeory.bounds.rigorous_interpolation import SIGNED, SUM, Rule, largest, total
from widththeory.bounds.rigorous_interpolation import rule as gauss
from widththeory.bounds.rigorous_law import bessel_order, normaliser
from widththeory.typing import check_narrow, check_positive_int

Ball: TypeAlias = flint.arb
Complex: TypeAlias = flint.acb
Function: TypeAlias = Callable[[flint.acb, bool], flint.acb]

_EXCESS = 64  # of the largest kernel in a cell over a rough m_0
_HALVINGS, _RINGS = 12, 64  # of a panel, which is then bounded by E [f^2; s in the panel]; of a shell for that
_FRACTION = Ball(0.5, 0.5)  # [0, 1]


def radial_projection_floor(
    pieces: Sequence[tuple[Function, Function]],
    ends: Sequence[int | float | Fraction],
    input_dim: int,
    width: int,
    *,
    precision: int = 32,
) -> flint.arb:
    """`radial_projection.radial_projection_floor` as a ball: least E (f - g)^2 over functions g(P x), P of rank r.

    Args:
        pieces: (profile, density) of |x| between the end before and its own, each as f(rho, analytic) of a complex
            ball, holomorphic near the piece; with the flag its value is not finite where f is not holomorphic, as
            `acb.sqrt(analytic)` has it. `law_density` is one.
        ends: positive and increasing, the first piece begins at 0; radii beyond the last end are left out. The last
            density is positive there, or the radius is larger.
        input_dim: n, at least 2.
        width: r, between 1 and n - 1.
        precision: bits asked for, of the variance of f. Seconds for 32 and constants; a smooth law takes longer, near
            a minute in dimension 8.

    Error:
        The radius, some 2^-precision times the variance: quadrature, rounding, and what s below some s_0 explains, at
        most E [f^2; s < s_0] <= sum_k E [f^2; 2^-(k+1) < rho / end <= 2^-k] P(s / rho < 2^(k+1) s_0 / end) and the
        innermost shell.

    Raises:
        ValueError: an argument out of range, or pieces that are not finite near their intervals.

    Source:
        Derived for this project; that a floor exists is [lu2017] Theorem 3, as recalled.
    """
    check_narrow(width, input_dim)
    if not (ends and len(ends) == len(pieces)):
        raise ValueError(f"ends must be as many as pieces, at least 1, got {len(ends)} for {len(pieces)}")
    if not all(a < b for a, b in pairwise((0, *ends, math.inf))):
        raise ValueError(f"ends must be positive, finite and increasing, got {ends!r}")
    with flint.ctx.workprec(check_positive_int("precision", precision, at_least=8) + 40):
        return _Projected(pieces, [rational(end) for end in ends], input_dim, width, precision).floor()


def law_density(law: RadialLaw) -> Function:
    """Density of the radial law as a function for `radial_projection_floor`, of radii t.

    With a = d/2 + m it is t^(d-1) phi(t)^2 / (4^a Gamma(a+1)^2 Z), phi(t) = 0F1(a + 1, -t^2/4) entire, or J_a(t)^2
    t^(-1-2m) / Z. On wide balls it is only bounded: |phi(z)| <= cosh(Im z), since Poisson's integral is a mean of
    cos(z u), |u| <= 1, and |J_a(z)| <= (1 + 1 / (pi a)) e^|Im z| for Re z > 0 (see `rigorous_wave`).

    Source: derived for this project.
    """

    def density(rho: flint.acb, analytic: bool) -> flint.acb:
        a, scale, leading = _constants(law.dim, law.order, flint.ctx.prec)
        if rho.imag == 0 and rho.rad() < 1e-3:
            t = rho.real
            near = round(float(t))
            wave = _expansion(law.dim, law.order, near, flint.ctx.prec)(t - near) if near else _wave(a, t)
            return Complex(wave**2 * t ** (law.dim - 1) * leading)
        depth, size = rho.imag.abs_upper(), rho.abs_upper()
        bound = depth.cosh() ** 2 * size ** (law.dim - 1) * leading
        if rho.real > 0:
            far = (1 + 1 / (Ball.pi() * a)) * depth.exp()
            bound = bound.min(far**2 / rho.real.lower() ** (1 + 2 * law.order) / scale)
        return bound * Complex(SIGNED, SIGNED)

    return density


@lru_cache(maxsize=8)
def _constants(dim: int, order: int, precision: int) -> tuple[Ball, Ball, Ball]:
    """a, Z and the factor of t^(d - 1) phi(t)^2, at the working precision, which is given."""
    law = RadialLaw(dim, order)
    a, scale = bessel_order(law), normaliser(law)
    return a, scale, 1 / (Ball(4) ** a * (a + 1).gamma() ** 2 * scale)


def _wave(a: Ball, t: Ball | int) -> Ball:
    """phi."""
    return (-(Ball(t) ** 2) / 4).hypgeom_0f1(a + 1)


@lru_cache(maxsize=1024)
def _expansion(dim: int, order: int, middle: int, precision: int) -> flint.arb_poly:
    """phi(middle + x) for |x| <= 0.51: Taylor's polynomial by Bessel's equation, t phi'' + (2a + 1) phi' + t phi = 0.

    The rest is added to the constant: |phi| <= cosh 8 where |x| <= 8, so that it is at most cosh(8) (0.51 / 8)^N / 0.9.
    """
    number = precision // 4 + 16
    with flint.ctx.workprec(2 * precision + 4 * middle + 64):  # 0F1 has terms as large as e^t; the recursion loses too
        a = _constants(dim, order, flint.ctx.prec)[0]
        found = [_wave(a, middle), -middle / (2 * (a + 1)) * _wave(a + 1, middle)]
        for j in range(number - 2):
            known = (j + 1) * (j + 2 * a + 1) * found[j + 1] + middle * found[j] + (found[j - 1] if j else 0)
            found.append(-known / (middle * (j + 1) * (j + 2)))
        found[0] += Ball(8).cosh() * (Ball("0.51") / 8) ** number / Ball("0.9") * SIGNED
    return flint.arb_poly([+number for number in found])


class _Shell(NamedTuple):
    """Radii between cuts, f and p there."""

    low: Ball
    high: Ball
    profile: Function
    density: Function


class _Place(NamedTuple):
    """s, the limits of w for the first two shells, the weight of m_1^2 / m_0, and whether v^(q + 1) is divided out."""

    s: Ball | Complex
    limits: list[Ball | Complex]
    weight: Ball | Complex
    divided: bool


class _Cell(NamedTuple):
    """An interval of y, from 0 to 1 in the shell; bounds on its parts of m_0, of that of |f|, and of m_2, on E."""

    shell: int
    low: Ball
    high: Ball
    sizes: list[Ball]


class _Projected:
    """The pieces and integrals over them."""

    def __init__(
        self, pieces: Sequence[tuple[Function, Function]], ends: list[Ball], dim: int, width: int, precision: int
    ):
        self.width, self.power, self.precision = width, dim - width - 1, precision
        a, b = self.shape = Ball(width) / 2, Ball(dim - width) / 2
        self.scale = 2 * (a + b).gamma() / (a.gamma() * b.gamma())
        lows = (Ball(0), *ends[:-1])
        whole = [_Shell(low, high, *piece) for low, high, piece in zip(lows, ends, pieces, strict=True)]
        self.mean = Ball(0)
        mass, first, second = (total(self._integral(j, shell) for shell in whole) for j in range(3))
        if not (mass > 0 and second.is_finite()):
            raise ValueError(f"pieces must be finite, of a positive mass, got the mass {mass} and E f^2 = {second}")
        self.mean = (first / mass).mid()
        self.variance = total(self._integral(2, shell) for shell in whole)
        rounding = second.abs_upper() * Ball(2) ** -flint.ctx.prec
        self.tolerance = (self.variance.abs_upper() + rounding) * Ball(2) ** -precision / 64  # of a panel
        start, self.innermost = self._innermost(whole)
        self.shells: list[_Shell] = []
        for shell in (whole[0]._replace(low=start), *whole[1:]):
            ratio = shell.high / shell.low
            if not ratio > 1:
                raise ValueError(f"ends must differ by more than the precision of {precision} bits, got {ends!r}")
            parts = math.ceil(math.log2(float(ratio)) - 1e-9)
            cuts = [(shell.low * ratio ** (Ball(i) / parts)).mid() for i in range(1, parts)]
            self.shells += [shell._replace(low=x, high=y) for x, y in pairwise((shell.low, *cuts, shell.high))]
        self._known: dict[tuple[float, ...], list[tuple[Ball, Ball, Ball]]] = {}
        self._bounds: dict[tuple[float, ...], tuple[Ball, ...]] = {}

    def _integral(self, j: int, shell: _Shell) -> Ball:
        """E [f^j; rho in the shell]."""
        _, _, profile, density = shell
        return Complex.integral(
            lambda rho, analytic: (profile(rho, analytic) - self.mean) ** j * density(rho, analytic),
            shell.low,
            shell.high,
        ).real

    def _innermost(self, whole: list[_Shell]) -> tuple[Ball, Ball]:
        """s_0, and a bound on E [f^2; s < s_0], to which every piece adds."""
        shell, end, count, k, bound = whole[0], whole[0].high, 2 * self.precision + 8, 0, Ball("inf")
        beyond = [(piece.low, self._integral(2, piece).abs_upper()) for piece in whole[1:]]
        cuts = [end / 2**i for i in range(count + 1)]
        squares = [self._integral(2, shell._replace(low=y, high=x)).abs_upper() for x, y in pairwise((*cuts, Ball(0)))]
        while not bound < 8 * self.tolerance and k < count:
            k += 1
            bound = squares[-1]
            for i in range(count):
                nearer = Ball(4) ** (i + 1 - k)  # (s_0 / rho)^2
                bound += squares[i] * (nearer.beta_lower(*self.shape, regularized=True) if i + 1 < k else 1)
            for low, square in beyond:
                bound += square * ((cuts[k] / low) ** 2).beta_lower(*self.shape, regularized=True)
        return cuts[k], bound

    def floor(self) -> Ball:
        value = self.variance - self.innermost * _FRACTION
        for k, shell in enumerate(self.shells):
            panels = [(Ball(0), (shell.high / shell.low).acosh(), 0)]
            while panels:
                low, high, depth = panels.pop()
                found = self._panel(k, low, high, depth == _HALVINGS)
                if found is None:
                    middle = ((low + high) / 2).mid()
                    panels += [(low, middle, depth + 1), (middle, high, depth + 1)]
                elif not found.is_finite():
                    raise ValueError(f"pieces must be finite and holomorphic near radii up to {shell.high}")
                else:
                    value -= found
        return value.nonnegative_part()

    def _place(self, k: int, v: Ball | Complex, analytic: bool, divided: bool) -> _Place:
        high, cosh = self.shells[k].high, v.cosh()
        limits = [0 * v, v]
        for shell in self.shells[k + 1 : k + 2]:
            ratio = shell.high / high * cosh
            cut = analytic and not (ratio.real > 1 or ratio.imag > 0 or ratio.imag < 0)
            limits.append(Complex("nan") if cut else ratio.acosh())
        weight = self.scale * high * v.tanh() / cosh
        return _Place(high / cosh, limits, weight * v ** (self.power + 1) if divided else weight, divided)

    def _near(self, k: int, at: int, place: _Place, y: Ball | Complex, analytic: bool) -> tuple[Complex, Complex]:
        """Integrand of m_0 in one of the first two shells, and f."""
        low, span = place.limits[at - k], place.limits[at - k + 1] - place.limits[at - k]
        w = low + span * y
        cosh = w.cosh()
        if place.divided:  # tanh(v y) / v near v = 0
            ratio = w.sinh() / w if isinstance(w, Ball) else (Complex(0, 1) * w).sinc()
            kernel = (y * ratio / cosh) ** self.power
        else:
            kernel = w.tanh() ** self.power * span
        rho, shell = Complex(place.s * cosh), self.shells[at]
        profile = shell.profile(rho, analytic) - self.mean
        return kernel * cosh ** (1 - self.width) * shell.density(rho, analytic), profile

    def _far(self, at: int, low: Ball, high: Ball, rule: Rule) -> list[tuple[Ball, Ball, Ball]]:
        """rho^-2, and parts of the integrals of p rho^-r and f p rho^-r, for the nodes of a cell."""
        key = (at, float(low), float(high), len(rule.nodes))
        if key not in self._known:
            shell, found = self.shells[at], []
            length = (shell.high - shell.low) * (high - low)
            for x, share in rule.nodes:
                rho = shell.low + (shell.high - shell.low) * low + length * (1 + x) / 2
                point = Complex(rho)
                part = length / 2 * share * shell.density(point, False).real / rho**self.width
                found.append((rho**-2, part, part * (shell.profile(point, False).real - self.mean)))
            self._known[key] = found
        return self._known[key]

    def _moments(self, k: int, place: _Place, cells: Iterable[_Cell], rule: Rule) -> tuple[Ball, Ball]:
        """m_0 and m_1."""
        mass = mean = far = far_mean = Ball(0)
        s = Complex(place.s).real
        square = s**2
        root = self.power % 2 == 0
        power = (self.power - 1) // 2
        for cell in cells:
            mass += rule.error * cell.sizes[0] / 2 * SIGNED
            mean += rule.error * cell.sizes[1] / 2 * SIGNED
            if cell.shell > k + 1:
                for inverse, part, times in self._far(cell.shell, cell.low, cell.high, rule):
                    rest = 1 - square * inverse
                    kernel = rest**power * rest.sqrt() if root else rest**power
                    far += kernel * part
                    far_mean += kernel * times
                continue
            length = cell.high - cell.low
            for x, share in rule.nodes:
                y = cell.low + length * (1 + x) / 2
                value, profile = self._near(k, cell.shell, place, y, False)
                part = length / 2 * share * value.real
                mass += part
                mean += part * profile.real
        return mass + s ** (self.width - 1) * far, mean + s ** (self.width - 1) * far_mean

    def _cell(self, k: int, at: int, low: Ball, high: Ball, boxes: list[_Place]) -> _Cell:
        if at <= k + 1:
            found = [
                self._near(k, at, place, (low + high + (high - low) * box) / 2, True)
                for box in gauss(1, flint.ctx.prec).boxes
                for place in boxes
            ]
            powers = ([abs(value) * abs(profile) ** j for value, profile in found] for j in range(3))
            return _Cell(at, low, high, [(high - low) * largest(sizes) for sizes in powers])
        key, shell = (at, float(low), float(high)), self.shells[at]
        span = shell.high - shell.low
        if key not in self._bounds:
            places = [shell.low + span * (low + high + (high - low) * b) / 2 for b in gauss(1, flint.ctx.prec).boxes]
            size = largest(abs(shell.density(rho, True)) for rho in places)
            profile = largest(abs(shell.profile(rho, True) - self.mean) for rho in places)
            self._bounds[key] = (size, profile, largest(1 / abs(rho) for rho in places))
        size, profile, inverse = self._bounds[key]
        near = largest(abs(place.s) for place in boxes) * inverse
        if not near < 1:
            return _Cell(at, low, high, [Ball("inf")] * 3)
        exponent = Ball(self.power - 1) / 2
        kernel = (1 + near**2 if self.power else 1 - near**2) ** exponent * near ** (self.width - 1) * inverse
        return _Cell(at, low, high, [(high - low) * span * kernel * size * profile**j for j in range(3)])

    def _cells(self, k: int, boxes: list[_Place], rough: Ball, half: Ball) -> list[_Cell] | None:
        """Cells in which the kernel is not much above its mean, and about as long as the panel, if there are."""
        cells, parts = [], [(at, Ball(0), Ball(1)) for at in range(k, len(self.shells))]
        while parts:
            at, low, high = parts.pop()
            cell = self._cell(k, at, low, high, boxes)
            if cell.sizes[0] < _EXCESS * rough and cell.sizes[2].is_finite():
                cells.append(cell)
            elif high - low > half / 8:
                middle = (low + high) / 2
                parts += [(at, low, middle), (at, middle, high)]
            else:
                return None
        return cells

    def _unresolved(self, k: int, low: Ball, high: Ball) -> Ball:
        """What a panel that is halved no more explains, at most E [f^2; s in the panel], by thin rings of radii."""
        (least, most), bound = (self.shells[k].high / v.cosh() for v in (high, low)), Ball(0)
        for shell in self.shells[k:]:
            cuts = [shell.low + (shell.high - shell.low) * i / _RINGS for i in range(_RINGS + 1)]
            for inner, outer in pairwise(cuts):
                ends = (((s / rho) ** 2).min(Ball(1)) for s, rho in ((least, outer), (most, inner)))
                below, above = (end.beta_lower(*self.shape, regularized=True) for end in ends)
                square = self._integral(2, shell._replace(low=inner, high=outer))
                bound += square.abs_upper() * (above - below).abs_upper()
        return bound * _FRACTION

    def _panel(self, k: int, low: Ball, high: Ball, last: bool) -> Ball | None:
        """Integral of m_1^2 / m_0 over s, or None if the panel has to be halved."""
        if last:
            return self._unresolved(k, low, high)
        middle, half, precision = (low + high) / 2, (high - low) / 2, flint.ctx.prec
        # in the last shell all moments vanish as v^(q + 1)
        divided = k + 1 == len(self.shells) and low == 0
        boxes = [self._place(k, middle + half * box, True, divided) for box in gauss(1, precision).boxes]
        weight = largest(abs(place.weight) for place in boxes)
        whole = [_Cell(at, Ball(0), Ball(1), [Ball(0)] * 3) for at in range(k, len(self.shells))]
        rough, _ = self._moments(k, self._place(k, middle, False, divided), whole, gauss(4, precision))
        cells = self._cells(k, boxes, rough, half)
        if cells is None:
            return None
        sizes = [total(cell.sizes[j] for cell in cells) for j in range(3)]
        bound = 2 * half * weight * sizes[2] * _FRACTION  # m_1^2 <= m_0 m_2
        if bound <= self.tolerance:
            return bound
        # nodes so that the residual is small enough, and m_0 well above the error of its interpolant
        wanted = (weight * half * sizes[2] * sizes[0] / rough * 2**9 / self.tolerance).log() / 2
        number = float(wanted.max((100 * sizes[0] / rough).log()).upper()) / math.log(SUM)
        if not number < self.precision + 16:
            return None
        rule = gauss(4 * max(1, math.ceil(number / 4)), precision)
        found, means, masses = Ball(0), [], []
        for x, share in rule.nodes:
            place = self._place(k, middle + half * x, False, divided)
            mass, mean = self._moments(k, place, cells, rule)
            found += half * share * Complex(place.weight).real * mean**2 / mass
            means.append(mean / mass)
            masses.append(mass)
        guess, least = rule.largest(means), rule.least(masses, sizes[0])
        if not least > 0:
            return None
        found += half * weight * (2 * guess * sizes[1] + guess**2 * sizes[0]) * rule.error * SIGNED
        residual = (sizes[1] + guess * sizes[0]) / rule.smallest
        found += 2 * half * weight * residual**2 / least * _FRACTION
        return found if found.rad() < self.tolerance else None
