"""What a figure concludes, as data: the sentence under the picture, and the three numbers that it compares."""

import dataclasses
import json
import math
import re
from dataclasses import dataclass

STATES = ("held", "not held", "open")
HELD = {"held": "holds", "not held": "does not hold", "open": "is neither confirmed nor refuted"}


@dataclass(frozen=True)
class Verdict:
    """Whether a claim held on the rows of one table, and by which numbers.

    Args:
        state: "held"; "not held", by these rows; "open" where they cannot tell.
        sentence: the conclusion with its numbers, computed from the table.
        quantity: what floor, best fit and construction are, with units, and of which size: one that tells. Its first
            words are its name, see `name`.
        floor: certified; no network of that size goes below it. None where none is known, or none applies.
        best_fit: the best that training reached at that size; None where nothing is fitted.
        construction: what explicit weights reach, of that size unless `quantity` says of which other; then it may lie
            below the floor, which is what a separation is. None where none are known.
        n: fits, or exact counts, that the sentence rests on.
        short: the finding in a few words, for the summary of its chapter; empty where the sentence is enough.
        check: what else was held against theorems, and must be so if programs are right; empty where nothing was.

    Raises:
        ValueError: an unknown state, an empty sentence or quantity, a number that is not finite, or n below 0.
    """

    state: str
    sentence: str
    quantity: str
    floor: float | None
    best_fit: float | None
    construction: float | None
    n: int
    check: str = ""
    short: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"state must be one of {list(STATES)}, got {self.state!r}")
        for name in ("sentence", "quantity"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} must say something, got {getattr(self, name)!r}")
        for name in ("floor", "best_fit", "construction"):
            value = getattr(self, name)
            if value is not None:
                if not math.isfinite(value):
                    raise ValueError(f"{name} must be finite or None, got {value!r}")
                object.__setattr__(self, name, float(value))
        if self.n < 0:
            raise ValueError(f"n must be at least 0, got {self.n!r}")
        object.__setattr__(self, "n", int(self.n))

    @property
    def name(self) -> str:
        """Of the quantity, for a table: "sup error" of "sup error on [0, 1] for x^2 / 2, width 2"."""
        return re.split(r"[,:;(]| (?:at|for|of|on|with) ", self.quantity, maxsplit=1)[0].strip()


def floor_check(num_under: int, num_measured: int) -> str:
    """The sentence on trained networks and their floors: one below is a defect, no finding."""
    if not num_measured:
        return "no trained network with a positive floor was measured"
    return f"{num_under} of {num_measured} trained networks with a positive floor lie under it"


def floors_kept(num_under: int, num_measured: int, where: str = "", kind: str = "positive floor") -> str:
    """The same for a caption, with the norms that it is true of, if several, and the kind of floor."""
    if num_under:
        return f"{num_under} of {num_measured} trained networks lie under their floor, which is a defect"
    if not num_measured:
        return f"no trained network with a {kind} was measured"
    return f"none of {num_measured} trained networks with a {kind} lies under it{where}"


def counted(count: int, total: int, words: str, before: str = "; ") -> str:
    """ "; 3 of 5 stay above it", or nothing where there are none of which to count."""
    return f"{before}{count} of {total} {words}" if total else ""


def write(claim: str, scale: str, extent: str, caption: str, verdict: Verdict) -> str:
    """JSON of a figure's conclusion, which `read` takes back."""
    content: dict[str, object] = {"claim": claim, "scale": scale, "extent": extent, "caption": caption}
    content |= {"verdict": dataclasses.asdict(verdict)}
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read(text: str) -> tuple[dict[str, str], Verdict]:
    """Claim, scale, extent and caption by name, and the verdict, from what `write` made.

    Raises:
        ValueError: text of another kind.
    """
    try:
        content = json.loads(text)
        verdict = Verdict(**content.pop("verdict"))
        return {name: str(content[name]) for name in ("claim", "scale", "extent", "caption")}, verdict
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as reason:
        raise ValueError(f"the text is not the conclusion of a figure: {reason}") from None
