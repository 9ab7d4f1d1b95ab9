"""The pictures of docs/images: reports of networks of the corpus, as Chromium shows them.

    python website/pictures.py [--models ../shared/models] [NAME...]

Needs playwright, Chromium and pillow (`make pictures`). Each is 1280 wide, in 256 colours.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import furiosa_ir as fi

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        name: of the file, without .png.
        network: below the corpus.
        prepare: what is done to the page before.
        scheme: "light" or "dark".
        height: in pixels.
    """

    name: str
    network: str
    prepare: Callable[[Page], None]
    scheme: str = "light"
    height: int = 800


def _view(title: str) -> Callable[[Page], None]:
    """Goes to a view, with a layer selected that takes much of the time."""

    def prepare(page: Page) -> None:
        page.locator("#layers th button", has_text="% of total").click()
        page.wait_for_timeout(300)
        page.locator("#layers tbody tr:not(.space)").first.click()
        page.locator("header a", has_text=title).first.click()

    return prepare


def _summary(_page: Page) -> None:
    """As it opens."""


SSD = "trained/ssd_mbv2_fpnlite_256_int8.tflite"
SMALL = "trained/mbv2_100_224_ptq_int8.tflite"
LARGE = "generated/ssd_resnet34_1200_qdq_int8.onnx"
PICTURES = (
    Picture("report-summary", SSD, _summary),
    Picture("report-layers", SSD, _view("Layers")),
    Picture("report-graph", SSD, _view("Graph")),
    Picture("report-dark", SSD, _view("Roofline"), "dark"),
    Picture("report-time", LARGE, _view("Timeline")),
    Picture("report-time-dark", LARGE, _view("Timeline"), "dark"),
    Picture("readme-report", SMALL, _summary, height=640),
    Picture("readme-timeline", SMALL, _view("Timeline"), height=640),
)


def main() -> None:
    """Makes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("names", nargs="*", help="which; default: all")
    arguments = parser.parse_args()
    chosen = [p for p in PICTURES if not arguments.names or p.name in arguments.names]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=FLAGS
        )
        for network in dict.fromkeys(p.network for p in chosen):
            report = Path(folder) / f"{Path(network).stem}.html"
            program = fi.compile(arguments.models / network)
            fi.report(program, title=f"{Path(network).stem}.enf").save(report)
            for picture in (p for p in chosen if p.network == network):
                _take(browser, report, picture)


def _take(browser: Browser, report: Path, picture: Picture) -> None:
    page = browser.new_page(
        viewport={"width": 1280, "height": picture.height},
        color_scheme=picture.scheme,
        offline=True,
    )
    page.goto(report.as_uri())
    picture.prepare(page)
    page.mouse.move(1270, picture.height - 10)
    page.wait_for_timeout(500)
    shot = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    path = ROOT / "docs" / "images" / f"{picture.name}.png"
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    click.echo(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
