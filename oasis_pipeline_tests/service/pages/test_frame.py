"""What all pages share: the log-in first, roles, errors in words, and files that come with the package."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files

import pytest

from oasis_pipeline.service.pages import tags
from oasis_pipeline_tests.service.conftest import Service

FOLDER = files("oasis_pipeline.service.pages").joinpath("static", "pages")


@pytest.mark.server
def test_whoever_is_not_logged_in_comes_back_to_the_page_he_asked_for(service: Service) -> None:
    answer = service.get("/?state=down&q=a%20b", role=None)
    assert answer.status == 302
    assert answer.headers["location"] == "/login/?next=%2F%3Fstate%3Ddown%26q%3Da%2520b"
    part = {"hx-request": "true", "hx-current-url": "http://localhost/well/A%2FB?day=2025-01-01"}
    answer = service.get("/", role=None, headers=part)
    assert (answer.status, answer.headers["hx-redirect"]) == (
        401,
        "/login/?next=%2Fwell%2FA%252FB%3Fday%3D2025-01-01",
    )


@pytest.mark.server
def test_pages_are_for_readers_and_a_refusal_is_a_page(service: Service) -> None:
    for role in ("admin", "engineer", "viewer"):
        answer = service.get("/", role=role)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-store"
        assert (b"/admin/" in answer.body) == (role == "admin")
        assert b'aria-current="page">Field' in answer.body
    for role in ("device", "module"):
        answer = service.get("/", role=role)
        assert answer.status == 403
        assert b"may not GET /" in answer.body
        assert b"<nav" in answer.body
    session = service.log_in("viewer")
    assert b"viewer" in service.get("/", role=None, headers=session).body


@pytest.mark.server
def test_the_choice_of_colours_is_in_the_page_that_the_server_sends(service: Service) -> None:
    for cookie, theme in (("", "auto"), ("theme=dark", "dark"), ('theme="><script>', "auto")):
        for path, role in (("/", "viewer"), ("/login/", None)):
            body = service.get(path, role=role, headers={"cookie": cookie}).body
            assert f'data-theme="{theme}"'.encode() in body


@pytest.mark.server
def test_no_page_has_a_script_within_it_or_one_from_elsewhere(service: Service) -> None:
    for path, role in (("/", "admin"), ("/login/", None)):
        text = service.get(path, role=role).body.decode()
        assert "<script>" not in text
        assert " onclick=" not in text
        for part in text.split('src="')[1:] + text.split('href="')[1:]:
            assert part.startswith(("/", "#")), part[:80]


@pytest.mark.server
def test_files_of_the_pages_come_with_the_package(service: Service) -> None:
    for path in ("oasis.css", "frame.js", "icon.svg", "vendor/LICENSES.txt"):
        assert service.get(f"/static/pages/{path}", role=None).status == 200, path


def test_all_scripts_of_a_page_together_are_small() -> None:
    templates = files("oasis_pipeline.service.pages").joinpath("templates", "pages")
    texts = {f.name: f.read_text("utf-8") for f in templates.iterdir()}
    for name, text in texts.items():
        if 'extends "pages/base.html"' in text:
            for part in re.findall(r'{% include "pages/([^"]*)" %}', text):
                text += texts[part]
            scripts = re.findall(r'src="/static/pages/([^"]*\.js)"', texts["base.html"] + text)
            size = sum(len(gzip.compress(FOLDER.joinpath(path).read_bytes(), 9)) for path in scripts)
            assert 0 < size <= 30_000, name


def test_figures_times_and_addresses_are_written_one_way() -> None:
    assert tags.well_url("A/B 100% #1?ü") == "/well/A%2FB%20100%25%20%231%3F%C3%BC"
    assert [tags.number(v, 1) for v in (1234.56, -0.04, None, float("nan"))] == ["1,234.6", "0.0", "–", "–"]
    assert [tags.hours(v) for v in (0.5, 1.4, 47.0, 72.0, None)] == ["30 min", "1 h", "47 h", "3 d", "–"]
    assert tags.signed(3.2) == "+3"
