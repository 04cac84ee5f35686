"""The documentation holds together: links and anchors lead somewhere, pages say for whom they are, commands and names exist."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from oasis_pipeline.commands.main import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as forges make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


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


def test_every_page_stands_in_the_navigation_of_the_site_once() -> None:
    groups = tomllib.loads((ROOT / "docs" / "navigation.toml").read_text())
    listed = sorted(page for group in groups.values() for page in group)
    pages = {str(page.relative_to(ROOT).with_suffix("")) for page in PAGES} - {"README"}
    assert listed == sorted(pages)


def shown_commands(page: Path) -> tuple[list[str], list[str]]:
    """Calls of ``oasis`` in the blocks of code of a page, and those that its prose names."""
    text = page.read_text()
    fences = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in fences for line in block.splitlines()]
    lines += re.findall(r"^ {4}.*$", text, re.MULTILINE)
    calls = [
        call for line in lines for call in re.findall(r"(?:^ *|bin/|exec data |\$\()oasis ([^|;&)#]*)", line)
    ]
    spans = re.findall(r"`([^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    named = [re.match(r"(?:\S*bin/)?oasis\s+([^|;&#]+)$", span) for span in spans]
    return calls, [found[1] for found in named if found]


def parse(call: str, *, whole: bool) -> None:
    """Parse a call by the real commands without running it; files need not be there, nor arguments where it is only named."""
    command: click.Command = cli
    context, rest = click.Context(cli, info_name="oasis"), shlex.split(call)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        command, context = found, click.Context(found, info_name=name, parent=context)
    try:
        command.make_context(command.name, rest, parent=context.parent)
    except click.exceptions.Exit:
        pass  # --help and --version
    except click.exceptions.NoArgsIsHelpError:
        if whole:
            raise
    except (click.BadParameter, click.BadOptionUsage) as error:
        only_named = isinstance(error, click.MissingParameter) or "requires an argument" in error.message
        if "does not exist" not in error.format_message() and (whole or not only_named):
            raise


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "commands.md"],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_commands_that_pages_show_can_be_called_so(page: Path) -> None:
    shown, named = shown_commands(page)
    for call in [*shown, *named]:
        try:
            parse(call, whole=call in shown)
        except click.ClickException as error:
            pytest.fail(f"oasis {call}: {error.format_message()}")


def test_pages_made_from_code_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/reference.py", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_variable_stands_among_the_settings() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    code = "".join(file.read_text() for file in (ROOT / "oasis_pipeline").rglob("*.py"))
    names = set(re.findall(r"\bOASIS_[A-Z0-9_]*[A-Z0-9]\b", code))
    between_processes = {
        "OASIS_DAGSTER_URL",
        "OASIS_PAGES_TOKEN",
        "OASIS_SERVICE_HOST",
        "OASIS_SERVICE_PARENT",
    }
    names -= between_processes | {name for name in names if name.startswith("OASIS_DBT_")}
    names -= {"OASIS_ADDRESS", "OASIS_EXPOSURE", "OASIS_SETTINGS"}  # Django's own
    assert [name for name in sorted(names) if f"`{name}`" not in page and f"`{name}=" not in page] == []


def texts_of_the_code() -> list[str]:
    """Texts of the package with a NUL for each value that is put in."""
    texts = [(ROOT / "Makefile").read_text()]
    for file in (ROOT / "oasis_pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
                texts.append("".join(str(part) for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_messages_of_the_troubleshooting_are_the_codes() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    rows = re.findall(r"^\| (`+)(.+?)\1 \| ", page, re.MULTILINE)
    messages = [message.strip().replace("\\|", "|") for _, message in rows]
    assert len(messages) >= 20
    texts = texts_of_the_code()
    for message in messages:
        literal = max(re.split(r"\.\.\.", message), key=len)
        assert len(literal) > 15, message
        pattern = ".*".join(re.escape(part) for part in message.rstrip(".").split("..."))
        assert any(re.match(f"(?:.*\\W)?{pattern}", text, re.DOTALL) for text in texts), message


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
