"""The atlas of minimum width: proven bounds for dimensions 1 to 8, and explicit networks of that width.

Draws results/<scale>/minimum_width_atlas.csv with .networks.csv; see experiments/minimum_width_atlas.py.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from widththeory import command
from widththeory.plotting import COLORS, CONSTRUCTION, TEXT_WIDTH, number_ticks, series
from widththeory.verdicts import HELD, Verdict

# Settings whose tables differ, with what a reader calls them; activations of the same table are named together.
PANELS = (
    (("lp", "lp", "cube", "relu"), "$L^p$(cube): ReLU, softplus, tanh, ..."),
    (("lp", "lp", "euclidean", "relu"), r"$L^p(\mathbb{R}^{d_x})$: ReLU"),
    (("continuous", "sup", "cube", "relu+step"), "$C$(cube): ReLU with step"),
    (("continuous", "sup", "cube", "leaky_relu+floor"), "$C$(cube): leaky ReLU with floor"),
    (("continuous", "sup", "cube", "leaky_relu"), "$C$(cube): leaky ReLU"),
    (("continuous", "sup", "cube", "relu"), "$C$(cube): ReLU"),
    (("continuous", "sup", "cube", "tanh"), "$C$(cube): tanh, sigmoid"),
    (("c1", "w1inf", "cube", "hwang_c1"), r"$C^1$ in $W^{1,\infty}$(cube): broad class"),
)
SETTING = ["function_class", "norm", "domain", "activation"]
TIGHT, ONE_SIDED = "#0072B2", "#FFFFFF"
GAPS = ("#FBE3B5", "#F5C260", "#E69F00", "#B86E00", "#7A4600")  # light to dark orange: 1, 2, 3-4, 5-8, above
LIMITS = (1, 2, 4, 8)
LETTERS = "abcdefgh"


def shade(lower: float, upper: float) -> int:
    """Colour of a cell: 0 tight, 1 to 5 by the gap, 6 where one bound is not known, 7 where the bounds contradict."""
    if np.isnan(lower) or np.isnan(upper):
        return 6
    if lower > upper:
        return 7
    return 0 if lower == upper else 1 + int(np.searchsorted(LIMITS, upper - lower))


def number(lower: float, upper: float) -> str:
    """What stands in a cell: the width, or both bounds, the lower one first; one of them where only one is known."""
    if np.isnan(lower) or np.isnan(upper):
        sides = (r"$\geq$" + f"{lower:.0f}", r"$\leq$" + f"{upper:.0f}", "open")
        return sides[0] if not np.isnan(lower) else sides[1] if not np.isnan(upper) else sides[2]
    return f"{lower:.0f}" if lower == upper else f"{lower:.0f}\u2013{upper:.0f}"


def cells_of(table: pd.DataFrame, setting: tuple[str, ...]) -> pd.DataFrame:
    """The rows of one function class, norm, domain and activation."""
    return table[(table[SETTING] == list(setting)).all(axis=1)]


def drawn(table: pd.DataFrame) -> pd.DataFrame:
    """The cells shown, panel by panel, with their sources."""
    return pd.concat([cells_of(table, setting) for setting, _ in PANELS], ignore_index=True)


def figure(table: pd.DataFrame, networks: pd.DataFrame) -> Figure:
    """Eight tables of known widths, and the measured error of networks of the least width."""
    picture = Figure(figsize=(TEXT_WIDTH, 7.5), layout="constrained")
    panels = picture.subplots(3, 3)
    for axes, (setting, name), letter in zip(panels.flat, PANELS, LETTERS, strict=False):
        _grid(axes, cells_of(table, setting))
        axes.set_title(f"({letter}) {name}", fontsize=8)
        if axes in panels[:, 0]:
            axes.set_ylabel("output dimension $d_y$")
        if axes in panels[-1]:
            axes.set_xlabel("input dimension $d_x$")
    _explicit(panels.flat[8], networks)
    keys = [Patch(facecolor=TIGHT, label="known exactly")]
    gaps = ("gap 1", "2", "3\u20134", "5\u20138", "above 8")
    keys += [Patch(facecolor=color, label=label) for color, label in zip(GAPS, gaps, strict=True)]
    dispute = Patch(facecolor="none", edgecolor=COLORS["yellow"], linewidth=2, label="statements disagree")
    picture.legend(handles=[*keys, dispute], loc="outside lower center", ncols=7, handlelength=1.2, columnspacing=1.4)
    picture.suptitle(
        "Minimum width is settled in $L^p$, and open for uniform approximation with continuous activations", fontsize=10
    )
    return picture


def _grid(axes: Axes, cells: pd.DataFrame) -> None:
    """One table as coloured cells with their numbers."""
    most_x, most_y = int(cells["input_dim"].max()), int(cells["output_dim"].max())
    colors = np.full((most_y, most_x), 6)
    for cell in cells.itertuples():
        code = shade(cell.lower, cell.upper)
        colors[cell.output_dim - 1, cell.input_dim - 1] = code
        axes.text(
            cell.input_dim,
            cell.output_dim,
            number(cell.lower, cell.upper),
            ha="center",
            va="center",
            fontsize=7.5 if code == 0 else 7,
            color="white" if code in (0, 4, 5, 7) else "black",
        )
        if isinstance(cell.conflict, str) and cell.conflict:
            corner = (cell.input_dim - 0.46, cell.output_dim - 0.46)
            axes.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=COLORS["yellow"], linewidth=2, zorder=3))
    palette = ListedColormap([TIGHT, *GAPS, ONE_SIDED, "#000000"])
    axes.pcolormesh(
        np.arange(most_x + 1) + 0.5,
        np.arange(most_y + 1) + 0.5,
        colors,
        cmap=palette,
        vmin=-0.5,
        vmax=7.5,
        edgecolor="white",
        linewidth=0.6,
    )
    axes.set(aspect="equal")
    axes.tick_params(length=0)
    number_ticks(axes.xaxis, range(1, most_x + 1))
    number_ticks(axes.yaxis, range(1, most_y + 1))
    for spine in axes.spines.values():
        spine.set_visible(False)


def _explicit(axes: Axes, networks: pd.DataFrame) -> None:
    """Measured error (markers, median over maps) and guarantee (dotted) against depth."""
    groups = networks.groupby(["input_dim", "output_dim"], sort=True)
    for index, ((input_dim, output_dim), cells) in enumerate(groups):
        at = cells.groupby("depth")
        middle, bound = at["l2_error"].median(), at["l2_bound"].first()
        width = int(cells["width"].max())
        label = f"{input_dim}\u2192{output_dim}: width {width}"
        look = {**series(index), "linestyle": CONSTRUCTION["linestyle"], "linewidth": 0.8}
        axes.plot(middle.index, middle, **look, label=label)
        axes.plot(bound.index, bound, color=look["color"], linestyle=(0, (1, 1.2)), linewidth=0.9)
    axes.set(xscale="log", yscale="log", xlabel="hidden layers", ylabel="$L_2$ error")
    axes.set_ylim(bottom=networks["l2_error"].min() / 12)
    axes.set_title("(i) explicit networks of the width in (a)", fontsize=8)
    axes.legend(loc="lower left", fontsize=7, title=r"$d_x$$\to$$d_y$", title_fontsize=7, handletextpad=0.1, ncols=2)


def _known(table: pd.DataFrame) -> dict[str, int]:
    """Number of pairs of dimensions whose width is proven, by the letter of the panel."""
    return {
        letter: int((cells_of(table, setting)["status"] == "tight").sum())
        for (setting, _), letter in zip(PANELS, LETTERS, strict=True)
    }


def _margin(networks: pd.DataFrame) -> pd.Series:
    """By how much the guaranteed squared error exceeds the measured one, four standard errors allowed."""
    return networks["l2_bound"] ** 2 - networks["l2_error"] ** 2 + 4 * networks["squared_error_stderr"]


def verdict(table: pd.DataFrame, networks: pd.DataFrame) -> Verdict:
    """Held where L^p is settled, uniform approximation is not, no bounds cross, and the networks keep their promise."""
    shown, known, num_cells = drawn(table), _known(table), len(cells_of(table, PANELS[0][0]))
    crossing, broken = int((shown["lower"] > shown["upper"]).sum()), int((_margin(networks) < 0).sum())
    settled = min(known["a"], known["b"]) == num_cells and max(known[letter] for letter in "efg") < num_cells
    best = networks.loc[networks["l2_error"].idxmin()]
    sentence = (
        f"the least width is known for {known['a']} of {num_cells} pairs of dimensions in L^p of the cube, and for "
        f"{known['f']} of {num_cells} for uniform approximation by ReLU networks"
    )
    check = (
        f"{crossing} lower bounds exceed an upper one, and {broken} of {len(networks)} explicit networks break their "
        "guarantee"
    )
    quantity = (
        f"L2 error of an explicit network of width {best['width']:.0f}, the least universal, with {best['depth']:.0f} "
        f"hidden layers, of {best['input_dim']:.0f} input and {best['output_dim']:.0f} output"
    )
    held = settled and not crossing and not broken
    state = "held" if held else "not held"
    return Verdict(state, sentence, quantity, None, None, best["l2_error"], len(networks), check)


def caption(table: pd.DataFrame, networks: pd.DataFrame) -> str:
    """What is drawn, from which sources, how much is settled, and whether the explicit networks keep their promise."""
    shown = drawn(table)
    known = _known(table)
    num_cells = len(cells_of(table, PANELS[0][0]))
    crossing = int((shown["lower"] > shown["upper"]).sum())
    settled = ", ".join(f"({letter}) {count}" for letter, count in known.items())
    contradiction = (
        "no lower bound exceeds an upper one"
        if not crossing
        else f"{crossing} lower bounds exceed an upper one, which is a defect"
    )
    disputed = shown.loc[shown["conflict"].fillna("") != "", ["input_dim", "output_dim"]].drop_duplicates()
    where = "; ".join(f"({row.input_dim}, {row.output_dim})" for row in disputed.itertuples())
    margin = _margin(networks)
    kept = (
        f"all {len(networks)} explicit networks keep"
        if (margin >= 0).all()
        else f"{(margin < 0).sum()} of {len(networks)} explicit networks break, which is a defect"
    )
    held = HELD[verdict(table, networks).state]
    return (
        "The least width that makes networks universal at some depth is settled in L^p, and open for uniform "
        "approximation with continuous activations (Park et al. 2021; Kim, Min, Park 2024; others in the table): the "
        f"claim {held}. (a-h) The width where it is proven, in {settled} of {num_cells} pairs, else the best bounds; "
        f"{contradiction}. (a) is the same for sigmoid; for GELU (1, 1) is open. Frame: published statements disagree "
        f"at {where or 'no pair'}; the withdrawn one is not used. (i) Random distance maps on the cube: L2 error of "
        f"the worst coordinate, median over {networks['seed'].nunique()} maps; dotted: its proven bound, which {kept}, "
        f"at width {networks['width'].min()} to {networks['width'].max()}. The table says of each bound its source, "
        "and whether that is as recalled or read."
    )


if __name__ == "__main__":
    command.draw(figure, caption, __file__, drawn=drawn, verdict=verdict)
