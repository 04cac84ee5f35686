"""Pages, the administration site and the documentation in a real browser, on a service that was started from nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oasis_pipeline.client import Client
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline_tests.fixtures.field import empty_field, fill_field
from oasis_pipeline_tests.fixtures.label_queue import fill_queue
from oasis_pipeline_tests.fixtures.servers import server_home
from oasis_pipeline_tests.fixtures.service import Served
from oasis_pipeline_tests.service.conftest import add_alarm

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]

PASSWORD = "correct-horse-9"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with server_home() as folder:
        server = Served(folder / "home")
        try:
            server.wait()
            server.superuser("boss", PASSWORD)
            yield server
        finally:
            server.kill()
            embedded.stop(server.home / "postgres")


@pytest.fixture
def page(served: Served) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = play.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        page.set_default_timeout(60_000)
        complaints: list[str] = []
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        # leaving a page aborts what it was still loading
        page.on(
            "requestfailed",
            lambda request: (
                complaints.append(f"{request.url} {request.failure}")
                if "ERR_ABORTED" not in str(request.failure)
                else None
            ),
        )
        yield page
        browser.close()
        # one answer that is refused is what a test is about
        left = [text for text in complaints if "403 (Forbidden)" not in text]
        assert left == [], "blocked by the page's own policy, or missing"


def look(page: Any, name: str) -> None:
    """Keep a picture for people, where a folder for it is named."""
    folder = os.environ.get("OASIS_TEST_PICTURES")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def log_in(page: Any, url: str, username: str, password: str) -> None:
    page.goto(url)
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.locator("button[type=submit], input[type=submit]").first.click()


def test_a_superuser_adds_a_normal_user_who_logs_in_and_sees_the_documentation(
    served: Served, page: Any
) -> None:
    # by name, as in the first service's README
    url = f"http://localhost:{served.port}"
    log_in(page, f"{url}/admin/auth/user/add/", "boss", PASSWORD)
    page.fill("#id_username", "reader")
    page.fill("#id_password1", "a-long-one-99")
    page.fill("#id_password2", "a-long-one-99")
    look(page, "add_user")
    page.click("input[name=_save]")
    page.get_by_text("was added successfully").wait_for()
    chosen = page.locator("#id_groups_to option")
    chosen.first.wait_for(state="attached")
    assert chosen.all_inner_texts() == ["viewer"]
    look(page, "user")
    page.goto(f"{url}/admin/")
    look(page, "admin")
    page.get_by_role("button", name="Log out").click()

    page.context.clear_cookies()
    log_in(page, f"{url}/api/docs", "reader", "a-long-one-99")
    page.get_by_text("OASIS data service").first.wait_for()
    page.get_by_text("/api/rawdata/").first.wait_for()
    look(page, "docs")
    page.locator("#operations-modules-get_module .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.locator(
        "#operations-modules-get_module .live-responses-table .response-col_status", has_text="200"
    ).wait_for()
    look(page, "docs_tried")
    # a session's POST carries the CSRF token of the page; a viewer may not all the same
    page.locator("#operations-modules-post_module .opblock-summary-control").click()
    page.locator("#operations-modules-post_module").get_by_role("button", name="Try it out").click()
    page.locator("#operations-modules-post_module").get_by_role("button", name="Execute").click()
    answer = page.locator("#operations-modules-post_module .live-responses-table")
    answer.get_by_text("(viewer) may not POST").first.wait_for()
    with Client(served.url, username="reader", password="a-long-one-99") as client:
        assert len(client.modules()) == 0


def test_a_token_is_made_shown_once_used_and_revoked(served: Served, page: Any) -> None:
    url = f"http://localhost:{served.port}"
    with Client(served.url, username="boss", password=PASSWORD) as client:
        client.post_modules([{"module_num": "34.B2.9F.A9", "asset": "Solar Panel"}])
    log_in(page, f"{url}/admin/service/token/add/", "boss", PASSWORD)
    page.fill("#id_name", "gateway on the roof")
    page.fill("#id_module_num", "nobody")
    page.click("input[name=_save]")
    page.get_by_text("There is no module nobody.").wait_for()
    page.fill("#id_module_num", "34.B2.9F.A9")
    page.click("input[name=_save]")
    token = page.locator("#token").inner_text()
    look(page, "token")
    with Client(served.url, token=token, retries=0) as gateway:
        assert gateway.post_readings([{"module": "34.B2.9F.A9", "measures": {"V": 1.0}}]).stored == 1
        page.get_by_role("link", name="All tokens").click()
        page.get_by_role("link", name="gateway on the roof").wait_for()
        look(page, "tokens")
        assert token.split("-", 2)[2] not in page.content()
        page.locator("input.action-select").first.check()
        page.select_option("select[name=action]", "revoke")
        page.get_by_role("button", name="Go").click()
        page.get_by_text("1 revoked").wait_for()
        page.wait_for_timeout(1100)
        with pytest.raises(Exception, match="log in"):
            gateway.post_readings([{"module": "34.B2.9F.A9", "measures": {"V": 2.0}}])


def test_twenty_cards_are_labelled_and_alarms_answered_by_keyboard_alone(served: Served, page: Any) -> None:
    url = f"http://localhost:{served.port}"
    with using_warehouse(load_settings(served.home)) as warehouse:
        fill_queue(warehouse, 60)

        def labels() -> list[tuple[str | None, str | None]]:
            rows = warehouse.query(
                'select "TrueLabel1" as a, "TrueLabel2" as b from clean.dynalabel order by "Date"'
            )
            return [(row["a"], row["b"]) for row in rows.to_pylist()]

        def until(number: int) -> None:
            end = time.monotonic() + 30
            while len(labels()) != number:
                assert time.monotonic() < end, labels()
                time.sleep(0.05)

        log_in(page, f"{url}/label", "boss", PASSWORD)
        page.locator(".to-label.current").wait_for()
        look(page, "label")
        keys = page.keyboard
        for key in "1234567890":
            keys.press(f"Digit{key}")
        for _ in range(6):
            keys.press("Enter")  # as the model says
        keys.press("Shift+Digit2")
        keys.press("Digit6")
        keys.press("q")
        keys.press("w")
        keys.press("z")  # that was the wrong one
        keys.press("Digit1")
        keys.press("Space")  # this one is left out
        keys.press("o")  # and of this one somebody else shall say something
        keys.press("Digit3")
        until(20)
        said = labels()
        assert said[1] == ("Fluid Pound", None)
        assert said[10:16] == [("Fluid Pound", None)] * 6
        assert said[16:] == [
            ("Fluid Pound", "Wellbore Friction"),
            ("Parted Rod", None),
            ("Full Pump", None),
            ("Gas Interference", None),
        ]
        page.get_by_text("20 labels since this page was opened").wait_for()
        assert [page.locator(f"#{name}").text_content() for name in ("queue", "mine")] == ["40", "20"]
        assert warehouse.query("select count(*) as n from analysis.opinion_request")["n"][0].as_py() == 1

        page.goto(f"{url}/label?view=twelve")
        page.locator(".to-label.current").wait_for()
        assert page.locator(".to-label:visible").count() == 12
        look(page, "label_twelve")
        for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft"):
            keys.press(key)
        for _ in range(13):
            keys.press("Digit9")
        until(33)
        assert labels().count(("Pump Tagging Down", None)) == 14

        raised = [add_alarm(warehouse, f"Well {number}", day=number) for number in (3, 2, 1)]
        page.goto(f"{url}/alarms")
        look(page, "alarms")
        keys.press("ArrowDown")
        keys.press("a")
        page.locator("tr.alarm.at .badge", has_text="acknowledged").wait_for()
        keys.press("ArrowDown")
        keys.press("d")
        keys.type("the load cell was changed")
        keys.press("Enter")
        page.locator("tr.alarm.at .badge", has_text="dismissed").wait_for()
        page.get_by_text("dismissed by boss").wait_for()
        rows = warehouse.query('select "AlarmID" as id, "State" as state, note from clean.alarm').to_pylist()
        assert {row["id"]: (row["state"], row["note"]) for row in rows} == {
            raised[0]: ("acknowledged", None),
            raised[1]: ("dismissed", "the load cell was changed"),
            raised[2]: ("open", None),
        }
        for path in ("/label/guide", "/models", "/sensors", "/analysis"):
            page.goto(url + path)
            page.locator("h1").wait_for()
            look(page, path.strip("/").replace("/", "_"))


def test_the_first_well_is_found_and_its_cards_looked_through_by_keyboard(served: Served, page: Any) -> None:
    url = f"http://localhost:{served.port}"
    with using_warehouse(load_settings(served.home)) as warehouse:
        empty_field(warehouse)
        fill_field(warehouse, 120, 20)
        log_in(page, url, "boss", PASSWORD)
        first = page.locator("a.well").first
        first.wait_for()
        look(page, "field")
        keys = page.keyboard

        # a search, the address that goes with it, and the list by keys
        keys.press("/")
        keys.type("line 11")
        page.wait_for_url("**/?q=line+11")
        assert page.locator("a.well").all_inner_texts() == ["Well 0011", *(f"Well 011{n}" for n in range(10))]
        keys.press("ArrowDown")
        keys.press("ArrowDown")
        keys.press("ArrowUp")
        assert page.evaluate("document.activeElement.textContent") == "Well 0011"
        page.locator("#search").fill("")
        page.wait_for_url(f"{url}/")
        page.wait_for_load_state("networkidle")
        keys.press("ArrowDown")
        keys.press("Enter")
        page.wait_for_url("**/well/Well%200001")
        page.get_by_text("Lengthen the idle time.").wait_for()

        def shown(moment: str) -> None:
            page.locator(f'#card[data-card="{moment}"]').wait_for()

        shown("2025-03-31T02:00:00")
        page.locator("#charts canvas").nth(6).wait_for()
        look(page, "well")
        keys.press("ArrowLeft")
        shown("2025-03-30T02:00:00")
        keys.press("p")
        page.locator("#card .mark-pin").wait_for()
        keys.press("Shift+ArrowLeft")
        shown("2025-03-29T02:00:00")
        keys.press("ArrowRight")
        shown("2025-03-30T02:00:00")
        slider = page.locator("#slider")
        assert float(slider.input_value()) == 1743300000.0
        slider.evaluate("e => { e.value = e.min; e.dispatchEvent(new Event('input')) }")
        shown("2025-03-12T02:00:00")
        # the address is that of what is shown
        page.reload()
        shown("2025-03-12T02:00:00")
        assert page.locator("#card .mark-pin").count() == 1

        # zoom of one chart is that of all, and ends with a double click
        page.locator("#charts canvas").nth(6).wait_for()
        over = page.locator("#charts .u-over").first
        over.scroll_into_view_if_needed()
        box = over.bounding_box()

        def zoom() -> None:
            page.mouse.move(box["x"] + 100, box["y"] + 40)
            page.mouse.down()
            page.mouse.move(box["x"] + 260, box["y"] + 40, steps=4)
            page.mouse.up()
            page.locator("#zoom-span").wait_for()

        zoom()
        # as the last chart has it, which was not dragged in
        begin, end = page.locator("#zoom-span").inner_text().split(" to ")
        assert "2025-03-12" < begin < end < "2025-03-31"
        page.mouse.dblclick(box["x"] + 100, box["y"] + 40)
        page.locator("#zoom-span").wait_for(state="hidden")
        zoom()
        page.get_by_role("button", name="All of it").click()
        page.locator("#zoom-span").wait_for(state="hidden")

        page.fill("#note-text", "Seen on the way")
        page.get_by_role("button", name="Keep it").click()
        page.locator("#notes article", has_text="Seen on the way").wait_for()
        keys.press("]")
        page.wait_for_url("**/well/Well%200002")

        # colours: chosen once, kept in the next page
        page.locator("details.who summary").click()
        page.locator("[data-choose-theme=dark]").click()
        page.goto(f"{url}/?view=map")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.locator("svg.days").wait_for()
        look(page, "map_dark")
        page.set_viewport_size({"width": 390, "height": 844})
        for path in ("/", "/?view=map", "/well/Well%200001"):
            page.goto(url + path)
            page.locator("h1").wait_for()
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        look(page, "well_phone")


PAGES = (
    "/",
    "/?view=map",
    "/well/Well%200001",
    "/label",
    "/label?view=twelve",
    "/label/guide",
    "/alarms",
    "/analysis",
    "/sensors",
    "/models",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault_for_a_screen_reader(served: Served, page: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    url = f"http://localhost:{served.port}"
    with using_warehouse(load_settings(served.home)) as warehouse:
        empty_field(warehouse)
        fill_queue(warehouse, 30)
        fill_field(warehouse, 30, 10)
        add_alarm(warehouse, "Well 0001", day=1)
    page.emulate_media(color_scheme=theme)
    page.goto(url)
    faults = {"log-in": serious(axe.run(page))}
    log_in(page, url, "boss", PASSWORD)
    for path in PAGES:
        page.goto(url + path)
        # the report is made while the page comes again by itself
        page.locator(".analysis-report" if path == "/analysis" else "h1").wait_for()
        page.wait_for_load_state("networkidle")
        faults[path] = serious(axe.run(page))
    assert {path: found for path, found in faults.items() if found} == {}


def serious(results: Any) -> list[str]:
    """Faults that axe calls serious or critical, each with its first place."""
    return [
        f"{fault['id']} ({len(fault['nodes'])}): {fault['nodes'][0]['html'][:200]} {fault['nodes'][0]['failureSummary'][:300]}"
        for fault in results.response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
