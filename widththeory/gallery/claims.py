"""What there is to show: each claim from its experiment's docstring, its figure's files and its ledger."""

import ast
import csv
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from widththeory import verdicts
from widththeory.gallery.bibliography import Entry, entries, quoted
from widththeory.ledger import Ledger
from widththeory.verdicts import Verdict

# In reading order. An experiment says with a line `Chapter: what depth buys, 3` where its claim stands.
CHAPTERS = {
    "why width matters": "A layer sees its input through its units: directions that a first layer leaves out are lost "
    "for all that follow. Which filters trained first layers hold, and how they mirror each other, is measured.",
    "how narrow is too narrow": "Proven: for ReLU networks with n inputs and one output width max(n, 2) is enough for "
    "any error in the mean over a cube, n + 1 over all of space or at every point; below n some functions keep an "
    "error at every depth. How much depth such narrow networks take, and what a first layer of filters needs, is "
    "computed and measured.",
    "what depth buys": "Proven: some functions are cheap for deep networks and cost one hidden layer exponentially "
    "many units, in the dimension or in the number of folds, whatever the weights. Whether training finds the cheap "
    "weights is another matter, and measured.",
    "the exchange rate": "Proven: a wide network of few layers can be made narrow, exactly, with polynomially more "
    "layers. What training needs, between that and the certified floor, is measured.",
    "how to use width well": "In convolutional networks compute grows with the square of the width. Nothing is proven "
    "here; where width pays, and where it costs time, is measured on small networks.",
    "further claims": "Claims that belong to no chapter yet.",
}
OTHER = "further claims"
# What a statement rests on; a line `Certain:` in an experiment's docstring says which part of its claim is which.
GROUNDS = {
    "proven": "a theorem, of the source named or derived in this project: a floor for every network of a size, or the "
    "guarantee of explicit weights; data cannot refute it, and rows are held against it, so that one that breaks it is "
    "a bug",
    "computed": "exact counts, or numbers with a stated error, of the networks at hand; nothing is said of others",
    "measured": "trained networks, few seeds on few tasks, with intervals where a number is compared; other data, "
    "longer training or another optimiser may give another answer",
}
WORDS = {
    "fold": "one of the compositions of the tent map that make a sawtooth: k folds have 2^(k - 1) teeth",
    "law": "the distribution of the inputs, under which errors are mean squares",
    "universal width": "a width at which networks, however deep, approximate every function of the class",
    "L^p and sup": "errors in the mean of a power, and at the worst point",
    "relative squared error": "the mean square of the error over the variance, which is the error of the best constant "
    "(1 is learning nothing), or over the second moment, where a caption says so; also called share of the variance",
    "Gabor atom": "a wave under a Gaussian window",
    "CReLU": "ReLU of a channel and of its negative, two channels for the weights of one",
    "certified floor": "no network of that size has a smaller error, any weights",
    "construction": "a network whose weights are written down, and its error",
    "optimisation gap": "what a trained network lacks to a construction of its size",
    "held, not held, open": "whether the tested sentence is true of the numbers; open where their intervals allow both",
    "easy and hard task": "colour images in eight classes by the orientation of a wave, one grey wave an image (easy) "
    "or two of the class among three others, in random colours and noise (hard); at paper scale four easy and four "
    "hard classes of CIFAR-10, and all ten",
    "as recalled": "a statement quoted from memory, not read again, where the source was not at hand",
    "derived": "proven in this project, in the module that the theorem's page names, and tested by a second route",
}
_LAST = 99  # the place of a claim that does not say its own
_SECTION = re.compile(r"^(\w+):[ \t]+(.*(?:\n[ \t]+.*)*)", flags=re.MULTILINE)


@dataclass(frozen=True)
class Claim:
    """One claim and what there is of it.

    Args:
        name: of its experiment, figure and tables.
        sentence: the claim.
        sections: of the experiment's docstring by name: Source, Command, Expected, ...
        modules: of the package that the experiment uses.
        root: folder of the repository.
        scale: of what is shown.
    """

    name: str
    sentence: str
    sections: dict[str, str]
    modules: frozenset[str]
    root: Path
    scale: str

    @property
    def chapter(self) -> str:
        """Where it belongs in the reading order."""
        chapter = self.sections.get("Chapter", OTHER).partition(",")[0]
        return chapter if chapter in CHAPTERS else OTHER

    @property
    def place(self) -> int:
        """Within its chapter; those that do not say come last."""
        place = self.sections.get("Chapter", "").partition(",")[2].strip()
        return int(place) if place.isdigit() else _LAST

    @property
    def mistaken(self) -> list[str]:
        """What its docstring says in words that the gallery does not know, a sentence each."""
        said = []
        chapter = self.sections.get("Chapter")
        if chapter is not None and chapter.partition(",")[0] not in CHAPTERS:
            said.append(f"Chapter must be one of {', '.join(CHAPTERS)}, got {chapter!r}")
        decided = self.sections.get("Decided")
        if decided is not None and not set(re.split(r",\s*", decided)) <= set(GROUNDS):
            said.append(f"Decided must be some of {', '.join(GROUNDS)}, with commas between, got {decided!r}")
        return [f"experiments/{self.name}.py: {sentence}" for sentence in said]

    @property
    def certainty(self) -> str:
        """Which part of it is proven, computed or measured, in words."""
        return self.sections.get("Certain", "")

    @property
    def grounds(self) -> list[str]:
        """Those of GROUNDS that it rests on."""
        return [ground for ground in GROUNDS if re.search(rf"\b{ground}:", self.certainty, flags=re.IGNORECASE)]

    @property
    def decided(self) -> str:
        """How its verdict comes about, in words: by proof, by computation, by measurement, or by several."""
        ways = {"proven": "proof", "computed": "computation", "measured": "measurement"}
        return " and ".join(
            ways[ground] for ground in re.split(r",\s*", self.sections.get("Decided", "")) if ground in ways
        )

    @property
    def provenance(self) -> list[str]:
        """What else than reading its theorems rest on, by its source."""
        source = f"{self.sections.get('Source', '')} {self.certainty}"
        return [word for word, sign in (("as recalled", "recalled"), ("derived", "derived")) if sign in source]

    @property
    def tested(self) -> str:
        """The sentence that the verdict is about."""
        return self.sections.get("Tested", "")

    @cached_property
    def training(self) -> str:
        """Seeds of a cell, and steps, of most fits in its table; empty where there are none."""
        path = self.root / "results" / self.scale / f"{self.name}.csv"
        if not path.is_file():
            return ""
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if float(row.get("num_steps") or 0) > 0]
        if not rows:
            return ""
        steps = Counter(int(float(row["num_steps"])) for row in rows)
        usual = steps.most_common(1)[0][0]
        # what stands before the seed says which problem and network it is
        before = list(rows[0])[: list(rows[0]).index("seed")]
        cells: dict[tuple[str, ...], set[str]] = {}
        for row in rows:
            if int(float(row["num_steps"])) == usual:
                cells.setdefault(tuple(row[name] for name in before), set()).add(row["seed"])
        seeds = Counter(map(len, cells.values())).most_common(1)[0][0]
        mostly = "mostly " if len(steps) > 1 else ""
        return f"{seeds} seed{'s' if seeds > 1 else ''}, {mostly}{usual:,} steps"

    @property
    def command(self) -> str:
        """What makes its table and its figure anew."""
        flag = "" if self.scale == "laptop" else f" --scale {self.scale}"
        scripts = (f"{folder}/{self.name}.py" for folder in ("experiments", "paper_figures"))
        return " && ".join(f".venv/bin/python {script}{flag}" for script in scripts)

    def file(self, kind: str) -> Path | None:
        """A file of its figure, if it is there."""
        path = self.root / "figures" / self.scale / f"{self.name}.{kind}"
        return path if path.is_file() else None

    @cached_property
    def conclusion(self) -> tuple[dict[str, str], Verdict] | None:
        """What its figure concluded; None before it is drawn.

        Raises:
            ValueError: a file of another kind.
        """
        path = self.file("json")
        return None if path is None else verdicts.read(path.read_text(encoding="utf-8"))

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, where there is a figure."""
        return self.conclusion[1] if self.conclusion else None

    @property
    def caption(self) -> str:
        """What stands under the figure."""
        return self.conclusion[0]["caption"] if self.conclusion else ""

    @property
    def extent(self) -> str:
        """The scale, and how much of its grid is there where that is not all."""
        return self.conclusion[0]["extent"] if self.conclusion else self.scale

    @cached_property
    def seconds(self) -> float | None:
        """Computing time of all its rows; None where no ledger is kept on this machine."""
        path = self.root / "results" / self.scale / f"{self.name}.sqlite"
        if not path.is_file():
            return None
        with Ledger.open(path) as ledger:
            return ledger.seconds(self.name)

    @property
    def page(self) -> Path | None:
        """The documentation page of the theorems it rests on: built, or else its source."""
        best, found = 0, None
        for path in sorted((self.root / "docs" / "theorems").glob("*.md")):
            listed = re.findall(r"^```\{sources\} (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            shared = len(self.modules & set(" ".join(listed).split()))
            if shared > best:
                best, found = shared, path
        if found is None:
            return None
        built = self.root / "build" / "docs" / "theorems" / f"{found.stem}.html"
        return built if built.is_file() else found

    @cached_property
    def bibliography(self) -> list[Entry]:
        """The entries that its source names."""
        text = (self.root / "widththeory" / "references.bib").read_text(encoding="utf-8")
        return quoted(self.sections.get("Source", ""), entries(text))


def read_claim(script: Path, scale: str) -> Claim:
    """A claim from its experiment's file.

    Raises:
        ValueError: the file has no docstring.
    """
    tree = ast.parse(script.read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    if not text:
        raise ValueError(f"{script.name} must say in its docstring what it claims")
    first, _, rest = text.partition("\n")
    sections = {name: " ".join(words.split()) for name, words in _SECTION.findall(rest)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("widththeory."):
            names.add(node.module.removeprefix("widththeory."))
    # Targets of fits are named by text: "telgarsky.Sawtooth" is of constructions.telgarsky.
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    names |= {
        f"constructions.{text.partition('.')[0]}" for text in texts if re.fullmatch(r"[a-z_]{3,}\.[A-Z]\w+", text)
    }
    return Claim(script.stem, first.rstrip("."), sections, frozenset(names), script.parent.parent, scale)


def chapters(root: Path, scale: str) -> dict[str, list[Claim]]:
    """All claims by chapter, in reading order; chapters without a claim are left out.

    Raises:
        ValueError: there are no experiments, or two have one place in a chapter.
    """
    found = [read_claim(path, scale) for path in sorted((root / "experiments").glob("*.py"))]
    if not found:
        raise ValueError(f"there are no experiments in {root / 'experiments'}")
    places: dict[tuple[str, int], str] = {}
    for claim in found:
        chapter = claim.sections.get("Chapter", OTHER).partition(",")[0]
        other = places.setdefault((chapter, claim.place), claim.name)
        if other != claim.name and claim.place != _LAST:
            raise ValueError(
                f"experiments/{other}.py and experiments/{claim.name}.py are both number {claim.place} of the chapter "
                f"{chapter!r}: one of them needs another number in its line `Chapter:`"
            )
    ordered = sorted(found, key=lambda claim: (claim.place, claim.name))
    by_chapter = {chapter: [claim for claim in ordered if claim.chapter == chapter] for chapter in CHAPTERS}
    return {chapter: claims for chapter, claims in by_chapter.items() if claims}
