"""TFLite's schema is imported class by class, and is the package `tflite` for everybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def in_process(script: str) -> object:
    command = [sys.executable, "-W", "error", "-c", f"import json, sys\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


def test_a_class_is_imported_alone() -> None:
    script = (
        "from furiosa_ir.tflite_schema import tflite, writers\n"
        "tflite.Model.GetRootAs, tflite.TensorType.INT8\n"
        "import tflite.Tensor; assert isinstance(tflite.Tensor, type)\n"
        "assert 'ModelStart' in writers('Model')\n"
        "print(json.dumps(sorted(m for m in sys.modules if m.startswith('tflite.'))))"
    )
    assert in_process(script) == ["tflite.Model", "tflite.Tensor", "tflite.TensorType"]


def test_others_find_all_of_the_package() -> None:
    script = (
        "from furiosa_ir.tflite_schema import tflite\n"
        "model = tflite.Model\n"
        "import tflite as theirs; assert theirs is tflite\n"
        "from tflite import AddOptions, SubGraphStart, opcode2name\n"
        "names = {}; exec('from tflite import *', names)\n"
        "assert theirs.Model is model is names['Model'] and not hasattr(theirs, 'nothing')\n"
        "wrong = [n for n, v in vars(theirs).items() if n[0].isupper() and type(v) is type(sys)]\n"
        "assert isinstance(AddOptions, type) and len(names) > 1000\n"
        "print(json.dumps([opcode2name(0), wrong]))"
    )
    assert in_process(script) == ["ADD", []]


def test_a_package_that_is_there_already_is_taken() -> None:
    script = (
        "import tflite as theirs\n"
        "from furiosa_ir.tflite_schema import tflite, writers\n"
        "print(json.dumps([tflite is theirs, writers('Model')['ModelStart'] is tflite.ModelStart]))"
    )
    assert in_process(script) == [True, True]
