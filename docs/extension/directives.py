"""Directives of the pages: `network`, `filters`, `figures`, `sources`, `atlas`, `reference`; output; MathML."""

import ast
import contextlib
import functools
import hashlib
import importlib
import io
import os
from pathlib import Path
from typing import Any, ClassVar

import pybtex.plugin
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from extension import drawing, fonts, formulas, reference, results, weights
from extension.reference import escaped


class FromPackage(SphinxDirective):
    """What these directives share: Markdown that is made up here, and pictures outside the folder of the pages."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True

    def markdown(self, text: str) -> list[nodes.Node]:
        """Nodes of a text in the language of the pages."""
        return self.parse_text_to_nodes(text)

    def picture(self, path: Path, alt: str) -> nodes.Node:
        """An image by its path on this machine."""
        return nodes.image(uri="/" + os.path.relpath(path, self.env.srcdir), alt=alt, width="100%")

    def drawing_of(self, name: str) -> Path:
        """Where a drawing is put: with what is kept between builds, outside the pages."""
        return Path(self.env.doctreedir) / "drawings" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.svg"

    def construction(self) -> tuple[Any, str]:
        """The construction that the argument and the lines `name: value` below it describe, and its name."""
        module, _, kind = self.arguments[0].partition(".")
        given = dict(line.split(":", 1) for line in self.content if line.strip())
        values = {name.strip(): ast.literal_eval(text.strip()) for name, text in given.items()}
        made = getattr(importlib.import_module(f"widththeory.constructions.{module}"), kind)(**values)
        return made, f"{kind}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


class NetworkDirective(FromPackage):
    """An explicit network: drawn from its weights, with its size and guarantee; `weights` prints the numbers too."""

    option_spec: ClassVar = {"weights": directives.flag}

    def run(self) -> list[nodes.Node]:
        """The drawing, a sentence, and the weights."""
        made, name = self.construction()
        network, size, error = made.network(), made.size(), made.error()
        path = self.drawing_of(name)
        drawing.draw(made, path)
        widths = ", ".join(map(str, size.widths[:8])) + (f", ... ({size.depth} layers)" if size.depth > 8 else "")
        promise = "exact" if error.bound == 0 else f"{error.norm} error at most {error.bound:.3g}"
        text = (
            f"`{name}.network()`, drawn from its weights (blue: positive, orange: negative): hidden widths {widths}; "
            f"{size.num_params:,} parameters; {promise}."
        )
        figure = nodes.figure("", self.picture(path, name), nodes.caption("", "", *self.markdown(text)[0].children))
        made_nodes: list[nodes.Node] = [figure]
        if "weights" in self.options:
            lines = weights.formulas(network)
            if not lines:
                raise ExtensionError(f"{self.env.docname}: {name} has too many weights to print")
            for line in lines:
                block = nodes.math_block(line, line, nowrap=True, number=None, label=None, docname=self.env.docname)
                made_nodes.append(block)
        return made_nodes


class FiltersDirective(FromPackage):
    """A bank of filters, scale by scale."""

    def run(self) -> list[nodes.Node]:
        """The real parts of all filters."""
        made, name = self.construction()
        bank = made.filters().real.reshape(made.num_scales, made.num_orientations, made.size, made.size)
        path = self.drawing_of(name)
        drawing.draw_filters(bank, path)
        text = f"Real parts of `{name}.filters()`: a row a scale, a column an orientation."
        caption = nodes.caption("", "", *self.markdown(text)[0].children)
        return [nodes.figure("", self.picture(path, name), caption)]


class FiguresDirective(FromPackage):
    """Figures of the claims whose experiments use one of the modules named; of all claims where none is named."""

    def run(self) -> list[nodes.Node]:
        """For each claim its sentence, its picture where there is one, and its caption, computed from the data."""
        wanted = set(self.arguments[0].split()) if self.arguments else None
        found: list[nodes.Node] = []
        for claim, used in results.claims().items():
            if wanted is None or wanted & used:
                found += self.claim(claim)
        return found or self.markdown("No experiment of the repository is about these.")

    def claim(self, claim: str) -> list[nodes.Node]:
        """One claim; without `make figures` the picture kept in the repository, if any, or a word on how to get it."""
        picture, words = results.picture(claim)
        sentence = results.claim_sentence(claim)
        if picture is None:
            return self.markdown(f"**{escaped(sentence)}** (`experiments/{claim}.py`; `make figures` draws it.)")
        caption = f"**{escaped(sentence)}** (`experiments/{claim}.py`)"
        told = [nodes.paragraph(text=words)] if words else []
        heading = nodes.caption("", "", *self.markdown(caption)[0].children)
        return [nodes.figure("", self.picture(picture, sentence), heading, nodes.legend("", *told))]


class SourcesDirective(FromPackage):
    """Where the results of the modules named come from, as their docstrings say; also marks the page as theirs."""

    def run(self) -> list[nodes.Node]:
        """One paragraph a module, one item a result."""
        lines = []
        for module in self.arguments[0].split():
            first = (ast.get_docstring(results.parsed(module)) or "").splitlines()[0]
            lines.append(f"- {{py:mod}}`widththeory.{module}`: {escaped(first)}")
            for one in results.results(module):
                lines.append(f"  - {{py:obj}}`~widththeory.{module}.{one.name}`: {escaped(one.source)}")
        return self.markdown("\n".join(lines))


class AtlasDirective(FromPackage):
    """Every result of `constructions` or of `bounds`, or every row of the table of minimum width."""

    def run(self) -> list[nodes.Node]:
        """Tables whose rows are found, not listed."""
        folder = self.arguments[0]
        if folder == "minimum_width":
            return self.markdown("\n".join(self.minimum_width()))
        found = [module for module in results.modules() if module.startswith(f"{folder}.")]
        return self.markdown("\n\n".join(part for module in found for part in self.module(module)))

    def module(self, module: str) -> list[str]:
        """What a module is about, with the page that states it, and a row for each result."""
        told = escaped((ast.get_docstring(results.parsed(module)) or "").splitlines()[0])
        page = next((f" In [](theorems/{name}.md)." for name in results.pages().get(module, [])), "")
        rows = [["result", "what it is", "source", "provenance"]]
        for one in results.results(module):
            keys = " ".join(f"{{cite:p}}`{key}`" for key in one.keys)
            name = f"{{py:obj}}`{one.name} <widththeory.{module}.{one.name}>`"
            rows.append([name, escaped(one.line), keys or "\u2013", one.provenance])
        return [f"**{{py:mod}}`{module} <widththeory.{module}>`** {told}{page}", *([table(rows)] if rows[1:] else [])]

    def minimum_width(self) -> list[str]:
        """The literature on minimum width."""
        from widththeory.bounds.minimum_width_results import CONFLICTS, RESULTS

        rows = [["source", "statement, n inputs and m outputs", "space", "activation", "provenance"]]
        rows += [
            [escaped(one.source), escaped(one.statement), one.space, one.activation, one.provenance] for one in RESULTS
        ]
        return [table(rows), "", *(f"**Disagreement.** {escaped(one.statement)}" for one in CONFLICTS)]


class ReferenceDirective(FromPackage):
    """Signatures and docstrings of all modules of a folder of the package, or of the package itself: "."."""

    def run(self) -> list[nodes.Node]:
        """A section a module."""
        return self.parse_text_to_nodes(reference.page(self.arguments[0]), allow_section_headings=True)


def table(rows: list[list[str]]) -> str:
    """A Markdown table; its first row is the heading."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def show_output(app: Sphinx, document: nodes.document) -> None:
    """Run every Python snippet and put what it prints under it; a snippet that fails ends the build."""
    for block in list(document.findall(nodes.literal_block)):
        if block.get("language") != "python":
            continue
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(block.astext(), f"{app.env.docname}.md", "exec"), {"__name__": "snippet"})
        except Exception as reason:
            raise ExtensionError(f"{app.env.docname}: the snippet fails: {reason!r}") from reason
        text = printed.getvalue().rstrip()
        if text:
            output = nodes.literal_block(text, text, language="text", classes=["output"])
            block.parent.insert(block.parent.index(block) + 1, output)


def depend(app: Sphinx, document: nodes.document) -> None:
    """Every page is made from the package, the experiments and their figures: it is read again when one changes."""
    for folder in ("widththeory", "experiments", "figures/laptop", "paper_figures/pictures", "docs/extension"):
        for path in (results.ROOT / folder, *(results.ROOT / folder).rglob("*.*")):
            if path.suffix in ("", ".py", ".bib", ".png", ".txt") and path.exists():
                app.env.note_dependency(str(path))


def exact_names(app: Sphinx, document: nodes.document) -> None:
    """Names in signatures link to what the module itself means by them, not to their namesakes elsewhere."""
    known: dict[str, dict[str, str]] = {}
    for node in document.findall(pending_xref):
        module = node.get("py:module", "")
        if node.get("refdomain") != "py" or "refspecific" not in node or not str(module).startswith("widththeory."):
            continue
        if module not in known:
            known[module] = reference.imports(module.removeprefix("widththeory."))
        name = node["reftarget"].rpartition(".")[2]
        node["reftarget"] = known[module].get(name, f"{module}.{name}")
        del node["refspecific"]  # its presence asks for a search


def visit_inline(writer: Any, node: nodes.math) -> None:
    """Mathematics in a line."""
    writer.body.append(formulas.mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(writer: Any, node: nodes.math_block) -> None:
    """A displayed formula."""
    writer.body.append(f'<div class="math">{formulas.mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def add_font(app: Sphinx, failure: Exception | None) -> None:
    """Put the font of formulas beside the pages."""
    path = Path(app.outdir) / "_static" / "formulas.woff"
    if failure is None and app.builder.format == "html" and not path.exists():
        fonts.write(path)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all of it."""
    for name, directive in (
        ("network", NetworkDirective),
        ("filters", FiltersDirective),
        ("figures", FiguresDirective),
        ("sources", SourcesDirective),
        ("atlas", AtlasDirective),
        ("reference", ReferenceDirective),
    ):
        app.add_directive(name, directive)
    # Otherwise each citation reads the metadata of every installed package anew.
    pybtex.plugin.find_plugin = functools.cache(pybtex.plugin.find_plugin)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("doctree-read", depend)
    app.connect("doctree-read", show_output)
    app.connect("doctree-read", exact_names)
    app.connect("build-finished", add_font)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
