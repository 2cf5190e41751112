"""Sphinx configuration: ``make docs`` builds with warnings as errors."""

import sys
from pathlib import Path

import kernreg_core

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "kernreg"
author = "The kernreg developers"
copyright = author
version = release = kernreg_core.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "myst_parser",
    "entry_pages",
    "law_pages",
]
exclude_patterns = ["_build", "requirements.txt"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types and shapes stand in the docstrings
suppress_warnings = [
    "ref.footnote",  # the References section of a docstring need not be cited in its text
    "ref.python",  # a shape may name an attribute that several solvers have
]

html_theme = "pydata_sphinx_theme"
html_title = "kernreg"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}
