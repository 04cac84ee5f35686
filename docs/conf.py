"""The documentation as a site: ``make docs`` builds it with Sphinx into ``build/site``, and every warning is an error.

The pages are the Markdown files that a forge shows too. Here: their order, and what only a site needs. Nothing of a page is fetched
from elsewhere when it is read; formulas are MathML.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[1]

project = "OASIS Pipeline"
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md"]
exclude_patterns = [folder.name for folder in ROOT.iterdir() if folder.is_dir() and folder.name != "docs"]
extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # bodies of requests that end in "..."

html_theme = "furo"
html_title = project
html_favicon = "../oasis_pipeline/service/pages/static/pages/icon.svg"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_math_renderer = "mathml"
pygments_style = "friendly"
copybutton_exclude = ".linenos, .gp, .go"


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the order of the pages behind the README, where a forge would show it as code."""
    if page == root_doc:
        groups = tomllib.loads((ROOT / "docs" / "navigation.toml").read_text(encoding="utf-8"))
        for title, pages in groups.items():
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n"


def _write_formula(translator: Any, node: nodes.Element) -> None:
    block = isinstance(node, nodes.math_block)
    mathml = convert(node.astext(), display="block" if block else "inline")
    translator.body.append(f'<div class="formula">{mathml}</div>' if block else mathml)
    raise nodes.SkipNode


def _let_names_break(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Let long names in the cells of tables break behind ``_``, ``.`` and ``/``, for narrow screens."""

    def name(found: re.Match[str]) -> str:
        return found[1] + re.sub(r"(?<=\w[_/])(?=\w)|(?<=\w\.)(?=[A-Za-z])", "<wbr>", found[2])

    def cell(found: re.Match[str]) -> str:
        return re.sub(r"(<span class=\"pre\">)([^<]*)", name, found[0])

    context["body"] = re.sub(r"<td\b.*?</td>", cell, context.get("body", ""), flags=re.DOTALL)


def _finish(app: Sphinx, error: Exception | None) -> None:
    """Give the site its first page, and refuse one that would fetch something from elsewhere."""
    if error is not None or app.builder.name != "html":
        return
    site = Path(app.outdir)
    shutil.copyfile(site / f"{root_doc}.html", site / "index.html")
    fetched = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"'](?:https?:)?//[^>]*>")
    for page in site.rglob("*.html"):
        if found := fetched.search(page.read_text(encoding="utf-8")):
            raise ExtensionError(f"{page.relative_to(site)} fetches something from elsewhere: {found[0]}")


def setup(app: Sphinx) -> None:
    """Take part in the build."""
    app.add_html_math_renderer("mathml", (_write_formula, None), (_write_formula, None))
    app.connect("source-read", _add_navigation)
    app.connect("html-page-context", _let_names_break)
    app.connect("build-finished", _finish)
