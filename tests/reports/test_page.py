"""The page: self-contained, safe with any name, and alive in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from furiosa_ir.backends import read_program
from furiosa_ir.cache.settings import NO_CACHE
from furiosa_ir.compiler import compile_model
from furiosa_ir.execution import Event
from furiosa_ir.program import Program
from furiosa_ir.reports.page import VIEWS, render_page
from furiosa_ir.reports.profile import PassProfile, Profile
from furiosa_ir.reports.profiling import profile_program
from tests.reports.conftest import HOSTILE

_PROBE_FILE = Path(__file__).parent / "page_probe.js"
PROBE = _PROBE_FILE.read_text(encoding="utf-8").replace("const probe =", "window.probe =")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


class Parts(HTMLParser):
    """The elements of a page, and what its scripts and links name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append(tag)
        self.links += [named[name] or "" for name in ("src", "href") if name in named]
        assert not any(name.startswith("on") for name in named)
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""


def with_passes(profile: Profile) -> Profile:
    passes = (
        PassProfile("graph", f"first{{option=</script>{HOSTILE}}}", 0.001, 10, 8, "one\ntwo\n"),
        PassProfile("graph", "second", 0.002, 8, 9, "one\nthree\n"),
    )
    return replace(profile, passes=passes, source_text=f"{HOSTILE}\none\n")


def test_the_page_loads_nothing_and_no_name_is_markup(branching_program: Program) -> None:
    profile = with_passes(profile_program(branching_program, title=HOSTILE))
    page = render_page(profile)
    parts = Parts(page)
    assert "img" not in parts.tags
    assert parts.links == []
    assert parts.policy.startswith("default-src 'none'; script-src 'sha256-")
    # Names of XML are no addresses.
    page_only = page.replace("http://www.w3.org/", "")
    assert not re.search(r"https?://|url\(|@import", page_only)
    # What is in the page as data is the data.
    (held,) = re.findall(r'<script type="application/json" id="data">([^<]*)</script>', page)
    layers = json.loads(held)["programs"][0]["layers"]
    assert len(layers) == len(profile.layers)
    assert any("onerror" in str(cell) for cell in layers[2])


def test_the_same_program_gives_the_same_page(branching_program: Program) -> None:
    pages = {render_page(with_passes(profile_program(branching_program))) for _ in range(2)}
    assert len(pages) == 1


# What follows is seen by a browser.


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs chromium, which is not on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


class Screen:
    """A page in the browser; whatever it complains of fails the test that closes it."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 800}, **options)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", self._complain)
        self.page.on("console", self._complain)
        self.page.on("request", self._request)
        self.page.set_default_timeout(240_000)  # only what hangs takes as long
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]")
        self.page.evaluate(PROBE)

    def _complain(self, what: Any) -> None:
        self.complaints.append(str(what))

    def _request(self, request: Any) -> None:
        self.requests.append(request.url)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.page.close()
        if kind is None:
            assert self.complaints == []
            assert len(self.requests) == 1, self.requests


@pytest.fixture
def written(tmp_path: Path, branching_program: Program) -> Path:
    path = tmp_path / "report.html"
    page = render_page(with_passes(profile_program(branching_program, title=HOSTILE)))
    path.write_text(page, encoding="utf-8")
    return path


def until(page: Any, expression: str) -> None:
    """Waits for it; Playwright's own waiting evaluates text in the page, which the page forbids."""
    for _ in range(2000):
        if page.evaluate(expression):
            return
        page.evaluate("() => new Promise(requestAnimationFrame)")
    pytest.fail(f"never: {expression}")


def chosen(page: Any) -> list[int | None]:
    return page.evaluate("selection.layers")


def test_views_show_the_program_and_one_selection(browser: Any, written: Path) -> None:
    with Screen(browser, written) as page:
        assert page.title() != "owned"
        assert page.locator("nav a").all_inner_texts() == [view.title() for view in VIEWS]
        assert page.locator("#layers tbody tr:not(.space)").count() == 6
        for view in ("graph", "timeline", "memory", "roofline"):
            page.locator(f"#{view}").scroll_into_view_if_needed()
            drawn = f"document.querySelector('#{view} :is(canvas, svg.roofline)')"
            until(page, f"{drawn}.clientWidth > 300")
            page.evaluate("probe.painted()")
            assert page.evaluate(f"probe.ink('{view}')") > 8, view
        # The table, then keys: the detail at the side follows, and every view is repainted.
        page.locator("#layers tbody tr", has_text="right").first.click()
        assert chosen(page) == [3]
        assert page.locator("#detail h2").inner_text() == "right"
        page.keyboard.press("ArrowDown")
        assert chosen(page) == [4]
        page.keyboard.press("k")
        page.keyboard.press("k")
        assert chosen(page) == [2]
        assert "onerror" in page.locator("#detail").inner_text()
        page.keyboard.press("Escape")
        assert chosen(page) == [None]
        # A command of the timeline, a rectangle of the memory, a circle, a node.
        for view in ("timeline", "memory", "roofline", "graph"):
            page.keyboard.press("Escape")
            place = page.evaluate(f"probe.{view}()")
            canvas = page.locator(f"#{view} :is(canvas, svg.roofline)")
            canvas.scroll_into_view_if_needed()
            canvas.hover(position=place)
            assert page.locator("#tip").is_visible(), view
            canvas.click(position=place)
            assert chosen(page) == [3], view
        assert page.title() != "owned"


def test_sorting_filtering_keys_themes_and_ir(browser: Any, written: Path) -> None:
    with Screen(browser, written, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.keyboard.press("t")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.locator("#layers th button", has_text="% of total").click()
        cells = page.locator("#layers td.bar").all_inner_texts()
        shares = [float(cell.split()[0]) for cell in cells]
        assert len(shares) == 4
        assert shares == sorted(shares, reverse=True)
        assert page.locator("#layers th[aria-sort=descending]").count() == 1
        page.keyboard.press("Escape")  # off the head
        page.keyboard.press("/")
        page.keyboard.type("host")
        assert page.locator("#layers tbody tr:not(.space)").count() == 2
        page.locator("#find").fill("")
        page.locator("#layers button", has_text="all columns").click()
        assert "full name" in page.locator("#layers thead").inner_text()
        with page.expect_download() as download:
            page.locator("#layers button", has_text="CSV").click()
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert text.count("\n") >= 7
        page.locator("#compile button", has_text="IR").last.click()
        page.wait_for_selector("#compile pre mark")
        assert page.locator("#compile mark").all_inner_texts() == ["two", "three"]
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert page.locator("dialog[open] kbd").count() > 5
        # Printed, it is light, and all rows are there.
        page.evaluate("setTheme('dark'), dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_time_is_zoomed_in_all_views_at_once(browser: Any, written: Path) -> None:
    with Screen(browser, written) as page:
        whole = page.evaluate("timeAxis.to - timeAxis.from")
        page.keyboard.press("+")
        assert page.evaluate("timeAxis.to - timeAxis.from") == whole / 2
        page.keyboard.press("ArrowRight")
        assert page.evaluate("timeAxis.from") > whole / 4
        page.keyboard.press("0")
        page.evaluate("select(0, 3)")
        page.keyboard.press("Enter")
        start, end = page.evaluate("probe.cycles(3)")
        assert page.evaluate("timeAxis.from") < start
        assert end < page.evaluate("timeAxis.to")
        assert page.evaluate("timeAxis.to - timeAxis.from") == pytest.approx(1.8 * (end - start))


def test_gestures_zoom_and_move(browser: Any, written: Path) -> None:
    with Screen(browser, written) as page:
        window = "[timeAxis.from, timeAxis.to]"
        whole = page.evaluate(window)
        timeline = page.locator("#timeline canvas")
        timeline.hover(position={"x": 500, "y": 60})
        page.mouse.wheel(0, 40)  # the wheel alone scrolls the page
        assert page.evaluate(window) == whole
        page.evaluate("scrollTo(0, document.getElementById('timeline').offsetTop)")
        under = page.evaluate(
            "timeScale(document.querySelector('#timeline canvas').clientWidth).cycle(500)"
        )
        timeline.hover(position={"x": 500, "y": 60})
        page.keyboard.down("Control")
        page.mouse.wheel(0, -300)
        until(page, f"timeAxis.to - timeAxis.from < {whole[1] / 3}")
        page.keyboard.up("Control")
        # What is under the pointer stays there, in the memory's view as well.
        for view in ("timeline", "memory"):
            assert page.evaluate(f"probe.x('{view}', {under})") == pytest.approx(500, abs=0.6)
        # A drag of the one goes on where the other one was left, and is no click.
        page.evaluate("select(0, 3)")
        box = page.locator("#memory canvas").bounding_box()
        x, y = box["x"] + 500, box["y"] + 100
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 30, y, steps=4)
        page.mouse.up()
        for view in ("timeline", "memory"):
            assert page.evaluate(f"probe.x('{view}', {under})") == pytest.approx(530, abs=0.6)
        assert chosen(page) == [3]
        # Nor does it leave the run.
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 5000, y, steps=4)
        page.mouse.up()
        assert page.evaluate("timeAxis.from") == pytest.approx(0, abs=1e-6)
        # The keys are the graph's where the graph is in focus.
        page.locator("#graph canvas").focus()
        before, scale = page.evaluate(window), "document.querySelector('#graph canvas').__zoom.k"
        at = page.evaluate(scale)
        page.keyboard.press("+")
        assert page.evaluate(scale) == pytest.approx(1.4 * at)
        page.keyboard.press("0")
        assert page.evaluate(window) == before


def test_fingers_scroll_the_page_and_two_zoom(browser: Any, written: Path) -> None:
    with Screen(browser, written, has_touch=True, is_mobile=True) as page:
        page.set_viewport_size({"width": 400, "height": 800})
        page.evaluate("document.getElementById('timeline').scrollIntoView()")
        until(page, "document.querySelector('#timeline canvas').width > 300")
        box = page.locator("#timeline canvas").bounding_box()
        x, y = box["x"] + 220, box["y"] + 60
        screen = page.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            held = [{"x": a, "y": b, "id": i} for i, (a, b) in enumerate(points)]
            screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": held})

        whole, top = page.evaluate("timeAxis.to - timeAxis.from"), page.evaluate("scrollY")
        touch("touchStart", (x, y))
        for step in range(1, 10):
            touch("touchMove", (x, y - 12 * step))
        touch("touchEnd")
        until(page, f"scrollY > {top} + 40")
        assert page.evaluate("timeAxis.to - timeAxis.from") == whole
        page.evaluate("document.getElementById('timeline').scrollIntoView()")
        touch("touchStart", (x, y))
        touch("touchStart", (x, y), (x + 60, y))
        for step in range(1, 8):
            touch("touchMove", (x - 8 * step, y), (x + 60 + 8 * step, y))
        touch("touchEnd")
        assert page.evaluate("timeAxis.to - timeAxis.from") < whole / 2


def test_two_programs_side_by_side(
    browser: Any, tmp_path: Path, branching_program: Program, digits_program: Program
) -> None:
    one = profile_program(branching_program, title="one")
    for other in (one, profile_program(digits_program, title="two")):
        path = tmp_path / "compared.html"
        path.write_text(render_page(one, other=other), encoding="utf-8")
        with Screen(browser, path) as page:
            page.evaluate("select(0, 3)")
            assert chosen(page) == [3, 3 if other is one else None]
            assert page.locator("#timeline canvas").count() == 2
            # Whose figure is whose is written there, and which of the two is faster.
            card = page.locator(".card").first.inner_text()
            assert re.search(r"A\s*[\d.]+ µs\s*B\s*[\d.]+ µs", card)
            assert ("B takes" in card) == (other is not one)
            assert "B \N{MINUS SIGN} A" in page.locator("#layers thead").inner_text()
            rows = page.locator("#layers tbody tr:not(.space)").count()
            assert rows == len(one.layers) + (0 if other is one else len(other.layers))


def test_a_program_of_which_only_costs_are_known(
    browser: Any, tmp_path: Path, digits_program: Program
) -> None:
    whole = profile_program(digits_program)
    poor = replace(whole, execution=None, memory=None, critical=(), utilisation=None)
    path = tmp_path / "poor.html"
    path.write_text(render_page(poor), encoding="utf-8")
    with Screen(browser, path) as page:
        assert "is not known" in page.locator("#timeline").inner_text()
        assert page.locator("#graph canvas").count() == 1
        page.keyboard.press("j")
        assert chosen(page) == [0]


def test_nothing_on_the_npu(browser: Any, tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "r")], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    program = read_program(compile_model(model.SerializeToString(), cache=NO_CACHE))
    path = tmp_path / "host.html"
    path.write_text(render_page(profile_program(program)), encoding="utf-8")
    with Screen(browser, path) as page:
        cards = page.locator(".card").all_inner_texts()
        assert cards[0].split("\n")[:2] == ["NPU", "not used"]
        assert "--measure-host" in cards[1]
        assert not any("0 µs" in card or "0 B" in card for card in cards)
        for view in ("timeline", "memory"):
            assert "Nothing" in page.locator(f"#{view}").inner_text()
            assert page.locator(f"#{view} canvas, #{view} button").count() == 0


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_screen(browser: Any, written: Path, width: int) -> None:
    with Screen(browser, written) as page:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        # All views can be reached.
        box = page.locator("nav a").first.bounding_box()
        assert box["width"] > 30
        assert 0 <= box["x"] < width


def long_profile(profile: Profile, times: int) -> Profile:
    """The program again and again: as many layers and commands, one behind the other."""
    execution = profile.execution
    assert execution is not None
    count, layers = len(execution.events), len(profile.layers)
    whole = profile.costs.cycles

    def moved(event: Event, by: int) -> Event:
        return replace(
            event,
            layer=event.layer + by * layers,
            start=event.start + by * whole,
            free=event.free + by * whole,
            end=event.end + by * whole,
            waits=tuple(token + by * count for token in event.waits),
        )

    again = range(times)
    grown = replace(
        execution,
        events=tuple(moved(event, by) for by in again for event in execution.events),
        buffers=tuple(
            replace(
                b, layer=b.layer + by * layers, start=b.start + by * whole, end=b.end + by * whole
            )
            for by in again
            for b in execution.buffers
        ),
        flow=tuple(
            edge
            for by in again
            for edge in (
                *((a + by * layers, b + by * layers) for a, b in execution.flow),
                *([((by - 1) * layers + 4, by * layers + 1)] if by else []),
            )
        ),
        takes=(),
        makes=(),
    )
    return replace(
        profile,
        layers=tuple(
            replace(
                row,
                index=row.index + by * layers,
                name=f"{row.name}/{by}",
                short=f"{row.short}/{by}",
            )
            for by in again
            for row in profile.layers
        ),
        execution=grown,
        costs=replace(profile.costs, cycles=whole * times),
    )


@pytest.mark.slow
def test_two_thousand_layers_are_smooth(
    browser: Any, tmp_path: Path, branching_program: Program
) -> None:
    profile = long_profile(profile_program(branching_program), 350)
    assert len(profile.layers) >= 2000
    text = render_page(profile)
    assert len(text) < 5 << 20
    path = tmp_path / "long.html"
    path.write_text(text, encoding="utf-8")
    with Screen(browser, path) as page:
        assert page.locator("#layers tbody tr").count() < 60  # the rest is not in the document
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#layers tbody tr:not(.space)").count() == len(profile.layers)
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.evaluate("select(0, 2000)")
        assert page.locator("#layers tr.chosen").count() == 1
        # A selection builds no rows anew, and paints nothing that is not on the screen.
        rows = page.evaluate("probe.keptRows(1000, 1005)")
        assert rows > 0
        assert page.evaluate("probe.fills(() => timeAxis.zoom(0.9))") == 0
