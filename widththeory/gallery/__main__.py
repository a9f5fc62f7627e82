"""`python -m widththeory.gallery --scale laptop`: page and paper of all claims, and a table of their verdicts."""

import sys
from dataclasses import dataclass
from pathlib import Path

from widththeory import command
from widththeory.command import Scale


@dataclass(frozen=True)
class Flags:
    """What to gather."""

    scale: Scale = "laptop"
    """Which scale's figures."""
    root: Path | None = None
    """The folder that holds experiments/, results/ and figures/; default: that of this package."""


def main(flags: Flags) -> None:
    """Write the page, the paper and the table, and print the last."""
    try:  # slow to import: not before the flags are known to be right
        from widththeory.gallery import claims, pages, paper
    except ModuleNotFoundError as error:
        raise ValueError(f"the gallery needs the library {error.name}: pip install 'widththeory[gallery]'") from None
    from widththeory.replacement import replace_bytes

    root = flags.root or Path(__file__).resolve().parents[2]
    folder = command.figures_folder(root / "paper_figures" / "gallery", flags.scale)
    chapters = claims.chapters(root, flags.scale)
    for claim in (claim for found in chapters.values() for claim in found):
        for sentence in claim.mistaken:
            print(f"gallery: {sentence}", file=sys.stderr)
    replace_bytes(folder / "widththeory.pdf", paper.build(chapters, flags.scale))
    replace_bytes(folder / "index.html", pages.render(chapters, root, flags.scale).encode())
    told = pages.summary(claim for found in chapters.values() for claim in found)
    replace_bytes(folder / "summary.txt", f"{told}\n".encode())
    print(told)
    print(f"gallery: open {folder / 'index.html'}")


if __name__ == "__main__":
    command.run(main)
