"""The site: no link is broken, nothing is fetched from elsewhere, axe finds nothing, search works.

It is built once, from the pages as they are, and opened from the disk in the machine's Chromium.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tests.conftest import ROOT
from tests.reports.test_page import CHROMIUM

pytestmark = pytest.mark.slow
NAVIGATION = ROOT / "website" / "mkdocs.yml"
LOOKED_AT = (
    "index",
    "getting-started-model",
    "reading-the-report",
    "adding-a-dialect",
    "hints",
    "instructions",
    "benchmarks",
    "faq",
)
"""Pages of each kind: the start, tutorials, pictures, IR, tables, generated ones, plots.

The largest (operators, commands, levels) have nothing else, and take axe as long as all of these.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    pytest.importorskip("material", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    arguments = ["--strict", "--quiet", "-f", str(NAVIGATION), "-d", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Parts(HTMLParser):
    """What a page names, and what can be named of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.ids.add(named.get("id", ""))
        if tag == "a" and "href" in named:
            self.links.append(named["href"])
        elif tag == "link" and named.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(named["href"])
        elif "src" in named:
            self.loaded.append(named["src"])


def test_no_link_is_broken_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: Parts(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 50
    faults: list[str] = []
    for path, parts in pages.items():
        if path.name == "404.html":  # its links are for a server's root
            continue
        for link in (*parts.links, *parts.loaded):
            if urlsplit(link).scheme in ("http", "https", "mailto"):
                faults += [f"{path.name} loads {link}"] * (link in parts.loaded)
                continue
            target, anchor = urldefrag(link)
            there = (path.parent / unquote(target)).resolve() if target else path
            if not there.exists() or (there in pages and unquote(anchor) not in pages[there].ids):
                faults.append(f"{path.name}: {link}")
    assert faults == []


def test_every_page_is_in_the_navigation_once(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    linked = {urldefrag(link)[0] for link in Parts(text).links}
    pages = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    assert pages - linked == set()
    listed = re.findall(r": ([\w-]+\.md)$", NAVIGATION.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(set(listed)) == len(listed)


class Opened:
    """A page in Chromium, without a network; what it asks for is kept."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.asked: list[str] = []
        self.page = browser.new_page(offline=True, **options)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.asked.append(f"error: {error}"))

    def at(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with api.sync_playwright() as running:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        started = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_overflows(
    site: Path, browser: Any, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe")
    opened = Opened(browser, color_scheme=scheme, viewport={"width": width, "height": 844})
    found: list[str] = []
    for name in LOOKED_AT:
        page = opened.at(site / f"{name}.html")
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found += [f"{name}: {wider} px wider than the screen"] * (wider > 0)
        for each in axe.Axe().run(page).response["violations"]:
            places = [node["html"][:120] for node in each["nodes"][:2]]
            found.append(f"{name}: {each['id']}: {places}")
    assert found == []
    assert {urlsplit(url).scheme for url in opened.asked} <= {"file", "data", "blob"}, opened.asked


def test_search_works_without_a_server(site: Path, browser: Any) -> None:
    opened = Opened(browser)
    page = opened.at(site / "index.html")
    page.locator("input.md-search__input").click()
    page.keyboard.type("saturates vnni")
    first = page.locator(".md-search-result__link").first
    first.wait_for(timeout=10_000)
    assert re.search(r"faq\.html|hooks", first.get_attribute("href"))
    assert {urlsplit(url).scheme for url in opened.asked} <= {"file", "data", "blob"}, opened.asked
