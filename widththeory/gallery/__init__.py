"""The gallery: every claim with its figure, verdict, numbers and sources, as one page and as one paper.

`python -m widththeory.gallery --scale laptop` writes figures/laptop/index.html and figures/laptop/widththeory.pdf from
what the figures have left there, and prints one table. Nothing is fitted, and nothing on the page is typed by hand:
words come from the experiments' docstrings and from captions, numbers from tables.
"""
