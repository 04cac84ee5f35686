"""Templates of pages that are files of their own: everything they need is within them.

Here: where their templates and the style sheet that they share (``report.css``) are found. Not here: what they say.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


@lru_cache(maxsize=8)
def template(package: str, name: str) -> Template:
    """Load a template of a package; what it includes may also stand in this one.

    Parameters
    ----------
    package : str
        Import path.
    name : str
        Of the file.

    Returns
    -------
    Template
        It escapes what it is given.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader

    folders = [PackageLoader(each, ".") for each in (package, __package__)]
    return Environment(loader=ChoiceLoader(folders), autoescape=True).get_template(name)
