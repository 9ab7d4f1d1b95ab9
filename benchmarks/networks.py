"""The networks that benchmarks run on: the corpus where it lies beside us, else the bundled."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT.parent / "shared" / "models"
"""The corpus: not part of this repository."""
BUNDLED = tuple(
    ROOT / "examples" / "digits" / f"digits_{x}" for x in ("int8.tflite", "qdq_int8.onnx")
)


def network_file(text: str) -> Path:
    """A file that is there, for argparse: its errors are a sentence and the usage.

    Raises:
        argparse.ArgumentTypeError: there is none.
    """
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file '{text}'")
    return path


def quantised(models: Path = MODELS) -> list[Path]:
    """Every quantised network of the corpus; the bundled ones where there is no corpus."""
    found = [
        path
        for folder in ("trained", "generated", "vendor")
        for path in sorted((models / folder).glob("*"))
        if path.suffix in {".onnx", ".tflite"} and "fp32" not in path.stem
    ]
    return found or list(BUNDLED)


def named(models: Path, *stems: str) -> list[Path]:
    """Those of these networks that the corpus has, in this order; the bundled ones if none."""
    by_stem = {path.stem: path for path in quantised(models)}
    return [by_stem[stem] for stem in stems if stem in by_stem] or list(BUNDLED)
