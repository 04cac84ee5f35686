"""The documentation holds together: links and anchors lead somewhere, pages say for whom they are, commands and names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oasis_pipeline.commands.main import SUBCOMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as forges make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        found = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
        todo.extend((page.parent / name).resolve() for name in found if not name.startswith("http"))
    assert {page.relative_to(ROOT) for page in PAGES} <= {page.relative_to(ROOT) for page in reached}


def test_commands_that_pages_show_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"(?:^ {4}|`|bin/)oasis ([a-z]+)\b", page.read_text(), re.MULTILINE):
            assert name in SUBCOMMANDS, f"{page.name}: oasis {name}"


def test_names_of_the_nomenclature_are_names_of_the_code() -> None:
    page = (ROOT / "docs" / "nomenclature.md").read_text()
    names = {
        name
        for row in re.findall(r"^\|[^|]*\|([^|]*)\|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    code = "".join(file.read_text() for file in (ROOT / "oasis_pipeline").rglob("*.py"))
    assert len(names) > 30
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_at_most_a_hundred_columns_wide(page: Path) -> None:
    text = re.sub(r"```.*?```|<!--.*?-->|\$\$.*?\$\$", "", page.read_text(), flags=re.DOTALL)
    for line in text.splitlines():
        if not line.startswith(("|", "    ", "![", "#")):
            assert len(line) <= 100, line
