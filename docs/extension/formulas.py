"""Formulas as MathML, which browsers draw by themselves: LaTeX by docutils, with what it leaves to be said."""

import re

from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ExtensionError

# LaTeX that authors write, as what docutils knows: sized delimiters have a side, dots a height, fractions have braces.
SPELLINGS = (
    (r"\\(big|Big|bigg|Bigg)(?![a-zA-Z])\s*(?=[(\[{]|\\l)", r"\\\1l"),
    (r"\\(big|Big|bigg|Bigg)(?![a-zA-Z])\s*", r"\\\1r"),
    (r"([+<=]|\\le|\\ge|\\cdot)\s*\\dots(?![a-zA-Z])", r"\1 \\cdots"),
    (r"\\dots(?![a-zA-Z])", r"\\ldots"),
    (r"frac(\d)", r"frac{\1}"),
    (r"frac\{(\d)\}(\d)", r"frac{\1}{\2}"),
)

# What is then to be drawn. Double bars grow only where they have a left and a right. Bars are brackets here, never a
# "such that", without the space of a relation. Plain brackets are as high as letters, on both sides alike. Max is no
# relation either, and the name of a function has a space before a letter.
MARKUP = (
    (
        "<mrow>(\\s*)<mo>\u2016</mo>(.*?)<mo>\u2016</mo>(\\s*)</mrow>",
        '<mrow>\\1<mo stretchy="true">\u2016</mo>\\2<mo stretchy="true">\u2016</mo>\\3</mrow>',
    ),
    ("<mo>([\u2016\u2308-\u230b\u27e8\u27e9])</mo>", r'<mo stretchy="false">\1</mo>'),
    ('<mo( stretchy="[a-z]+")?>([|\u2016])</mo>', r'<mo\1 lspace="0" rspace="0">\2</mo>'),
    ("<mo([^>]*)>(max|min|sup|inf)</mo>", r'<mo\1 lspace="0" rspace="0.17em">\2</mo>'),
    (r"<mo>&ApplyFunction;</mo>(?=\s*<m(i|n|sub|sup|frac)\b)", '<mspace width="0.17em"/>'),
)


def mathml(text: str, block: bool = False) -> str:
    """MathML of LaTeX; what docutils does not know is an error."""
    known = text
    for spelling, replacement in SPELLINGS:
        known = re.sub(spelling, replacement, known)
    try:
        made = tex2mathml(known, as_block=block)
    except MathError as reason:
        raise ExtensionError(f"{reason} in the formula {text}") from reason
    for markup, replacement in MARKUP:
        made = re.sub(markup, replacement, made, flags=re.DOTALL)
    return made
