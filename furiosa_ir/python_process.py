"""How a Python process is started that runs nobody's code but ours.

`python -c` and `python -m` look for every module in the current directory first, where a `json.py`
may lie beside a model from the internet; `PYTHONPATH` with an empty entry does so as well. `-I`
ends that, and with it everything that PYTHON* variables say. What the child needs instead, it is
told: the path on which the parent found its libraries, and where furiosa_ir itself lies.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path

# The package is taken from its folder (or archive) alone: what lies beside it, in a source tree
# that is the current directory, say, is not on the path. The child's own path comes last, so that
# its libraries are the parent's.
_START = """\
import sys
sys.path[:] = {path} + [p for p in sys.path if p not in {path}]
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
spec = PathFinder.find_spec("furiosa_ir", {root})
package = module_from_spec(spec)
sys.modules["furiosa_ir"] = package
spec.loader.exec_module(package)
{code}
"""


def python_command(code: str) -> list[str]:
    """The command that runs a piece of code of ours in a Python like this one.

    Args:
        code: Python source, which may import furiosa_ir and what this process can import from
            elsewhere than its current directory.
    """
    root = str(Path(__file__).parents[1])
    start = _START.format(path=ascii(trusted_path()), root=ascii([root]), code=code)
    flags = ["-I", *(["-B"] if sys.dont_write_bytecode else [])]
    return [sys.executable, *flags, "-c", start]


def trusted_path() -> list[str]:
    """`sys.path` without what depends on the current directory, or is that directory."""
    return [entry for entry in sys.path if Path(entry).is_absolute() and not _is_here(entry)]


def _is_here(entry: str) -> bool:
    try:
        return Path(entry).samefile(os.curdir)
    except OSError:  # there is nothing, or no current directory any more
        return False


def end_with_parent(descriptor: int, before: Callable[[], object]) -> None:
    """Ends this process when its parent has, however that did and whatever this one computes.

    Args:
        descriptor: of the socket whose other end is the parent's.
        before: what is still to be done then.
    """
    ends = select.poll()
    ends.register(descriptor, select.POLLRDHUP)
    ends.poll()
    before()
    os._exit(0)
