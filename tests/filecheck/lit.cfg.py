"""For `lit tests/filecheck`, in an environment that has furiosa-opt, filecheck and lit."""

import os
import sys
import tempfile
from pathlib import Path

import lit.formats

config.name = "furiosa-ir"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["Inputs"]
config.test_source_root = str(Path(__file__).parent)
config.test_exec_root = tempfile.mkdtemp(prefix="furiosa-ir-lit-")
config.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
