"""Takes the README's pictures anew: a report and its timeline, of a network's page in Chromium.

    python docs/images/take.py ../shared/models/trained/mbv2_100_224_ptq_int8.tflite

Needs Chromium, playwright (extra `test`) and Pillow (`pip install pillow`), which makes the
pictures small: 64 colours do for a page.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import furiosa_ir as fi

FOLDER = Path(__file__).parent
WIDTH, HEIGHT = 1280, 640
COLOURS = 64


def save(picture: bytes, name: str) -> None:
    """Writes a picture of few colours."""
    path = FOLDER / name
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")


def take(page: Any) -> None:
    """The top of the page, and the timeline with the layer that takes the most of it selected."""
    save(page.screenshot(), "readme-report.png")
    page.locator("#layers th button", has_text="% of total").click()
    page.locator("#layers tbody tr:not(.space)").first.click()
    page.locator("#timeline").scroll_into_view_if_needed()
    page.locator("nav a", has_text="Timeline").click()
    page.wait_for_timeout(500)  # it has painted by then
    save(page.screenshot(), "readme-timeline.png")


def main() -> None:
    """Compiles the network and takes both."""
    network = Path(sys.argv[1])
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        path = Path(folder, "report.html")
        fi.report(fi.compile(network, use_cache=False), title=network.name).save(path)
        browser = running.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        take(page)
        browser.close()


if __name__ == "__main__":
    main()
