"""Sphinx configuration: the site is built offline, from the package, the figures and the pages of this folder."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

project = "widththeory"
author = "the authors of widththeory"
extensions = ["myst_parser", "sphinx_proof", "sphinxcontrib.bibtex", "extension.directives"]
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
bibtex_bibfiles = ["../widththeory/references.bib"]
bibtex_reference_style = "author_year"
html_theme = "furo"
html_title = "widththeory"
html_math_renderer = "mathml"  # drawn by browsers themselves: the built site needs no network either
html_show_sourcelink = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
smartquotes = False  # quoted words are mostly strings of the code
add_module_names = False
toc_object_entries = False
python_maximum_signature_line_length = 100
exclude_patterns = ["_build"]
