"""What the gallery reads of each claim, and from where."""

import re
import shutil
import sys
from dataclasses import replace

import pytest
from scripts import EXPERIMENTS, ROOT

from widththeory import command, gallery
from widththeory.gallery import __main__ as main
from widththeory.gallery import bibliography, claims, pages, paper


def test_claims_are_found_in_reading_order(chapters):
    assert [[claim.name for claim in found] for found in chapters.values()] == [["first"], ["second"], ["third"]]
    assert list(chapters) == ["what depth buys", "the exchange rate", "further claims"]


def test_a_claim_says_what_its_docstring_does(chapters):
    (first,) = chapters["what depth buys"]
    assert first.sentence == "Depth buys folds"
    assert first.sections["Source"] == "Telgarsky 2016, Theorem 1.1 (as recalled); Hanin, Sellke 2017."
    assert first.modules == {"bounds.affine_pieces", "constructions.telgarsky"}
    assert [entry.key for entry in first.bibliography] == ["telgarsky2016", "haninsellke2017"]
    assert first.grounds == ["proven", "measured"]
    assert first.decided == "proof and measurement"
    assert first.provenance == ["as recalled"]
    assert first.training == "2 seeds, mostly 2,000 steps"
    assert first.page is not None
    assert first.page.name == "telgarsky.md"
    assert first.seconds is None


def test_words_that_the_gallery_does_not_know_are_told(chapters, tree, capsys, monkeypatch):
    (third,) = chapters["further claims"]
    (sentence,) = third.mistaken
    assert sentence.startswith(
        "experiments/third.py: Chapter must be one of why width matters, how narrow is too narrow"
    )
    assert sentence.endswith(", further claims, got 'nowhere, 1'")
    odd = replace(third, sections={"Chapter": "the exchange rate, 2", "Decided": "measured, guessed"})
    (sentence,) = odd.mistaken
    said = "Decided must be some of proven, computed, measured, with commas between, got 'measured, guessed'"
    assert sentence == f"experiments/third.py: {said}"
    assert [claim.mistaken for claim in chapters["what depth buys"]] == [[]]
    monkeypatch.setattr(paper, "build", lambda *given: b"")
    monkeypatch.setattr(pages, "render", lambda *given: "")
    main.main(main.Flags("smoke", tree))
    assert capsys.readouterr().err == f"gallery: {third.mistaken[0]}\n"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_claim_of_the_repository_has_its_place(path):
    claim = claims.read_claim(path, "laptop")
    assert claim.chapter != claims.OTHER, "its docstring needs a line `Chapter:` with one of gallery.claims.CHAPTERS"
    assert claim.tested, "its docstring needs a line `Tested:` with the sentence that its verdict is about"
    assert claim.decided, "its docstring needs a line `Decided:` with some of gallery.claims.GROUNDS"
    assert set(re.split(", ", claim.sections["Decided"])) <= set(claims.GROUNDS)
    assert claim.grounds, "its docstring needs a line `Certain:` with some of gallery.claims.GROUNDS"
    assert claim.bibliography, f"no entry of references.bib is named by {claim.sections.get('Source')!r}"


def test_a_script_without_a_docstring_is_said(tmp_path):
    (tmp_path / "claim.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"claim\.py must say in its docstring what it claims"):
        claims.read_claim(tmp_path / "claim.py", "laptop")


def test_an_empty_tree_is_said(tmp_path):
    with pytest.raises(ValueError, match="there are no experiments in"):
        claims.chapters(tmp_path, "laptop")


def test_two_claims_in_one_place_are_refused(tree, tmp_path):
    """They were put in the order of their names, whatever their authors meant."""
    shutil.copytree(tree / "experiments", tmp_path / "experiments")
    shutil.copy(tmp_path / "experiments" / "first.py", tmp_path / "experiments" / "fourth.py")
    said = "experiments/first.py and experiments/fourth.py are both number 1 of the chapter 'what depth buys': one of"
    with pytest.raises(ValueError, match=re.escape(said)):
        claims.chapters(tmp_path, "smoke")
    for name in ("first", "fourth"):  # those that give no number come last, by name
        path = tmp_path / "experiments" / f"{name}.py"
        path.write_text(path.read_text().replace("what depth buys, 1", "what depth buys"))
    found = claims.chapters(tmp_path, "smoke")["what depth buys"]
    assert [claim.name for claim in found] == ["first", "fourth"]


@pytest.mark.parametrize("library", ["jinja2", "fpdf"])
def test_a_library_that_is_not_installed_is_said(library, tree, capsys, monkeypatch):
    for name in ("pages", "paper", "live"):
        monkeypatch.delitem(sys.modules, f"widththeory.gallery.{name}", raising=False)
        monkeypatch.delattr(gallery, name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)  # importing it raises ModuleNotFoundError
    with pytest.raises(SystemExit, match="2"):
        command.run(main.main, ["--scale", "smoke", "--root", str(tree)])
    said = f": the gallery needs the library {library}: pip install 'widththeory[gallery]'\n"
    assert capsys.readouterr().err.endswith(said)


def test_bibliography_entries_are_those_of_the_file():
    text = (ROOT / "widththeory" / "references.bib").read_text()
    known = bibliography.entries(text)
    assert [entry.key for entry in known] == re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)
    assert all(entry.surnames[0] and entry.year.isdigit() for entry in known)


def test_a_year_takes_the_names_before_it():
    known = bibliography.entries((ROOT / "widththeory" / "references.bib").read_text())
    assert [entry.key for entry in bibliography.quoted("Telgarsky 2015; 2016", known)] == ["telgarsky2015"]
    assert bibliography.quoted("nobody 2016", known) == []
