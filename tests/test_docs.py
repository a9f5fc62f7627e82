"""The documentation: its pages run, say where they are from, cover the package, and build offline without warnings."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from extension import drawing, formulas, reference, results, weights  # noqa: E402

THEOREMS = sorted((DOCS / "theorems").glob("*.md"))
PAGES = sorted(path for path in DOCS.rglob("*.md"))
BIBLIOGRAPHY = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "widththeory" / "references.bib").read_text(), re.MULTILINE))


built = pytest.mark.xdist_group("documentation")  # one worker builds it, once


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def snippets(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def run(code, name):
    exec(compile(code, name, "exec"), {"__name__": "snippet"})


# --- pages ------------------------------------------------------------------------------------------------------------


@each(THEOREMS)
def test_page_has_its_parts(path):
    text = path.read_text()
    headings = re.findall(r"^## (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    assert headings[-3:] == ["Use", "Figures", "Sources"]
    assert re.search(r"^:::\{prf:(theorem|definition)\} ", text, re.MULTILINE), "no statement"
    assert "*Provenance:*" in text
    assert len(snippets(path)) == 1
    assert len(snippets(path)[0].splitlines()) <= 28  # some ten lines, and their imports


@each(THEOREMS)
def test_snippet_runs_and_prints(path, capsys):
    run(snippets(path)[0], path.name)
    printed = capsys.readouterr().out.splitlines()
    assert printed
    assert all(line.strip() and "nan" not in line for line in printed)


@each(THEOREMS)
def test_snippet_asserts_what_its_page_says(path):
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(snippets(path)[0])))


@each(PAGES)
def test_cited_keys_exist(path):
    cited = re.findall(r"\{cite:[a-z]+\}`([^`]+)`", path.read_text())
    assert {key.strip() for keys in cited for key in keys.split(",")} <= BIBLIOGRAPHY


@each(PAGES)
def test_formulas_are_known(path):
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\$\$(.*?)\$\$|\$([^$]+?)\$", prose, flags=re.DOTALL)
    assert found or path not in THEOREMS
    for block, inline in found:
        assert "<math" in formulas.mathml(block or inline, block=bool(block))


def test_formulas_are_spelt_as_authors_do():
    assert formulas.mathml(r"\tfrac12") == formulas.mathml(r"\tfrac{1}{2}")
    assert formulas.mathml(r"\tfrac1{12}") == formulas.mathml(r"\tfrac{1}{12}")
    assert formulas.mathml(r"1, \dots, n") == formulas.mathml(r"1, \ldots, n")
    assert formulas.mathml(r"1 + \dots + n") == formulas.mathml(r"1 + \cdots + n")
    assert formulas.mathml(r"\Big( x \Big)") == formulas.mathml(r"\Bigl( x \Bigr)")


def test_unknown_formulas_are_errors():
    with pytest.raises(formulas.ExtensionError, match=r"\\unheardof"):
        formulas.mathml(r"\unheardof{x}")


def test_every_page_is_in_the_contents():
    listed = re.findall(r"^(theorems/\w+)$", (DOCS / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [f"theorems/{path.stem}" for path in THEOREMS]


# --- the package on the pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", results.modules())
def test_every_module_is_on_a_page(module):
    assert results.pages().get(module), f"name {module} in a `sources` directive of a page in docs/theorems"


def test_pages_name_modules_that_exist():
    assert set(results.pages()) <= set(results.modules())


@each(THEOREMS)
def test_explicit_networks_are_drawn(path):
    """A page about constructions that have networks draws at least one of them."""
    drawn = re.findall(r"^```\{network\} (\w+)\.", path.read_text(), re.MULTILINE)
    modules = [module for module, pages in results.pages().items() if path.stem in pages]
    names = {module.removeprefix("constructions.") for module in modules if module.startswith("constructions.")}
    explicit = {name for name in names if any(hasattr(one, "network") for one in examples(name))}
    assert not explicit or explicit & set(drawn)


def examples(name):
    return getattr(importlib.import_module(f"widththeory.constructions.{name}"), "EXAMPLES", ())


def test_every_claim_is_found():
    assert set(results.claims()) == {path.stem for path in (ROOT / "experiments").glob("*.py")}
    assert {"constructions.telgarsky", "bounds.affine_pieces"} <= results.claims()["sawtooth"]


def test_every_folder_has_reference_pages():
    asked = [re.findall(r"^```\{reference\} (\S+)$", path.read_text(), re.MULTILINE) for path in PAGES]
    assert sorted(folder for folders in asked for folder in folders) == reference.folders()


@pytest.mark.parametrize("folder", reference.folders())
def test_reference_has_every_public_name(folder):
    text = reference.page(folder)
    for module in reference.modules(folder):
        start = text.index(f"{{py:module}} widththeory.{module}\n")
        for node in results.parsed(module).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert re.search(rf"\{{py:(function|class)\}} {node.name}\b", text[start:])


# --- what is read from docstrings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "provenance"),
    [
        ("[lu2017] Theorem 1, as recalled.", "as recalled"),
        ("[lu2017] Theorem 1.", "from the paper"),
        ("derived for this project, after [lu2017]", "derived for this project"),
        ("Derived for this project, from [lu2017] (as recalled)", "as recalled, parts derived for this project"),
        ("Rolle's theorem.", "classical"),
    ],
)
def test_provenance(source, provenance):
    assert results.Result("bounds.spectral", "name", "line", source).provenance == provenance


def test_results_have_their_keys():
    found = {one.name: one for one in results.results("constructions.telgarsky")}
    assert "telgarsky2016" in found["Sawtooth"].keys
    assert found["Sawtooth"].line.endswith(".")


DOCSTRING = """The largest *thing* of [lu2017] on [0, 1]^n.

Here is `code_x` and

    |f - g|_1 <= 2^k    for all k,

which holds.

Args:
    first, second: numbers,
        both positive.
    norm: "l1" or "sup".

Raises: ValueError otherwise.
Source:
    [lu2017] Theorem 1."""


def test_docstrings_become_markdown():
    assert reference.markdown(DOCSTRING).split("\n\n") == [
        r"The largest \*thing\* of {cite:t}`lu2017` on \[0, 1\]^n.",
        "Here is `code_x` and",
        "```text\n|f - g|_1 <= 2^k    for all k,\n```",
        "which holds.",
        "**Args**",
        '- `first`, `second`: numbers, both positive.\n- `norm`: "l1" or "sup".',
        "**Raises** ValueError otherwise.",
        "**Source** {cite:t}`lu2017` Theorem 1.",
    ]


def test_signatures():
    record = ast.parse(
        "@dataclass(frozen=True)\nclass A:\n    x: int\n    y: float = 1.0\n    def f(self, z): ..."
    ).body[0]
    assert reference.class_signature(record) == "A(x: int, y: float = 1.0)"
    assert reference.signature(record.body[2], method=True) == "f(z)"
    assert reference.signature(ast.parse("def g(a, *, b=2) -> int: ...").body[0]) == "g(a, *, b=2) -> int"


# --- networks ---------------------------------------------------------------------------------------------------------


def test_weights_are_written_exactly():
    from widththeory.constructions.telgarsky import Sawtooth

    first, middle, last = weights.formulas(Sawtooth(num_folds=4).network())
    assert first.startswith(r"W_{1} = \begin{pmatrix} 1 \\ 1 \end{pmatrix}")
    assert middle.startswith(r"W_{2} = \dots = W_{4} = \begin{pmatrix} 2 & -4 \\ 2 & -4 \end{pmatrix}")
    assert r"b_{2} = \dots = b_{4} = \begin{pmatrix} 0 \\ -\tfrac{1}{2} \end{pmatrix}" in middle
    assert last.startswith(r"W_{5} = \begin{pmatrix} 2 & -4 \end{pmatrix}")


def test_large_networks_are_not_written_out():
    from widththeory.constructions.telgarsky import Sawtooth

    assert weights.formulas(Sawtooth(num_folds=30).network()) == []


def test_what_is_left_out_is_in_the_middle():
    assert drawing.shown(3, 9) == [0, 1, 2]
    assert drawing.shown(20, 9) == [0, 1, 2, 3, drawing.GAP, 16, 17, 18, 19]


def test_drawings_have_the_same_bytes(tmp_path):
    from widththeory.constructions.yarotsky import Square

    for name in ("a.svg", "b.svg"):
        drawing.draw(Square(order=2), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


# --- figures and the site ---------------------------------------------------------------------------------------------


def test_figures_are_those_made_else_those_kept_else_none(tmp_path):
    made, kept = tmp_path / "figures" / "laptop", tmp_path / "paper_figures" / "pictures"
    for folder in (made, kept):
        folder.mkdir(parents=True)
    assert results.picture("sawtooth", tmp_path) == (None, "")
    (kept / "sawtooth.png").touch()
    assert results.picture("sawtooth", tmp_path) == (kept / "sawtooth.png", "")
    (made / "sawtooth.png").touch()
    (made / "sawtooth.txt").write_text("It held.\n")
    assert results.picture("sawtooth", tmp_path) == (made / "sawtooth.png", "It held.")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; warnings are errors."""
    folder = tmp_path_factory.mktemp("docs") / "html"
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", str(DOCS), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@built
def test_site_builds(site):
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in PAGES}
    assert pages <= {str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html")}


@built
def test_site_needs_no_network(site):
    for path in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"([^\"]+)\"", path.read_text())
        assert [address for address in loaded if "//" in address] == []
        for address in loaded:
            local = re.split("[?#]", address)[0]
            assert (path.parent / local).exists(), f"{path.name}: {address}"
    assert "@import" not in (site / "_static" / "site.css").read_text()
    assert (site / "_static" / "formulas.woff").stat().st_size > 10**5


@built
@each(THEOREMS)
def test_site_shows_what_snippets_print(site, path):
    html = (site / "theorems" / f"{path.stem}.html").read_text()
    assert re.search(r'<div class="output[^"]*"', html)
    assert '<div class="proof' in html
    assert "<math" in html


@built
def test_statements_link_to_the_reference(site):
    html = (site / "theorems" / "telgarsky.html").read_text()
    assert 'href="../reference/constructions.html#widththeory.constructions.telgarsky.Sawtooth"' in html


@built
def test_the_readme_says_how_a_study_goes(site):
    html = (site / "study.html").read_text()
    assert "Regression" in html  # the section is there, to its end
    assert "widththeory.plotting" in html
    assert "references.bib" not in html  # and no other
