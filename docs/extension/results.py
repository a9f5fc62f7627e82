"""Every construction and bound of the package, read from its docstrings: nothing here is a list kept by hand."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "widththeory"
CITATION = re.compile(r"\[([a-z]+\d{4}[a-z]*)\]")


@dataclass(frozen=True)
class Result:
    """A public function or class that names its source.

    Args:
        module: below the package, as "constructions.telgarsky".
        name: of the function or class.
        line: what it is, in one line.
        source: the docstring's last section.
    """

    module: str
    name: str
    line: str
    source: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the bibliography, in the order of the text."""
        return tuple(dict.fromkeys(CITATION.findall(self.source)))

    @property
    def provenance(self) -> str:
        """How the statement is known: derived here, from memory of the paper, or from its text."""
        recalled, derived = "as recalled" in self.source, "derived for this project" in self.source.lower()
        if recalled and derived:
            return "as recalled, parts derived for this project"
        if recalled or derived:
            return "as recalled" if recalled else "derived for this project"
        return "from the paper" if self.keys else "classical"


def modules() -> list[str]:
    """All modules of constructions and bounds, as "bounds.spectral"."""
    folders = ("constructions", "bounds")
    paths = [path for folder in folders for path in sorted((PACKAGE / folder).glob("*.py"))]
    return [f"{path.parent.name}.{path.stem}" for path in paths if path.stem != "__init__"]


def parsed(module: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def results(module: str) -> Iterator[Result]:
    """The results of one module, in the order of the file."""
    for node in parsed(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            text = ast.get_docstring(node) or ""
            _, found, source = text.rpartition("Source:")
            if found:
                yield Result(module, node.name, " ".join(text.split("\n\n")[0].split()), " ".join(source.split()))


def pages() -> dict[str, list[str]]:
    """Module -> the pages that say they are about it, by their `sources` directives."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "docs" / "theorems").glob("*.md")):
        for names in re.findall(r"^```\{sources\}\s*(.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            for name in names.split():
                found.setdefault(name, []).append(path.stem)
    return found


def claims() -> dict[str, set[str]]:
    """Claim -> modules of constructions and bounds that its experiment uses, by import or as the name of a target."""
    found = {}
    known = set(modules())
    for path in sorted((ROOT / "experiments").glob("*.py")):
        used = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("widththeory."):
                part = (node.module or "").removeprefix("widththeory.")
                used |= {part, *(f"{part}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Constant) and re.fullmatch(r"[a-z_]\w*\.[A-Z]\w*", str(node.value)):
                used.add(f"constructions.{str(node.value).split('.')[0]}")
        found[path.stem] = used & known
    return found


def claim_sentence(claim: str) -> str:
    """First line of the experiment's docstring."""
    tree = ast.parse((ROOT / "experiments" / f"{claim}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or claim).splitlines()[0]


def picture(claim: str, root: Path = ROOT) -> tuple[Path | None, str]:
    """Figure and caption of a claim: as `make figures` left them, else the one kept in the repository, if any."""
    made = root / "figures" / "laptop" / f"{claim}.png"
    kept = root / "paper_figures" / "pictures" / f"{claim}.png"
    words = made.with_suffix(".txt")
    if made.is_file():
        return made, words.read_text(encoding="utf-8").strip() if words.is_file() else ""
    return (kept if kept.is_file() else None), ""
