"""Compiles the simulator's kernels: `make kernels`.

The build of the package does it where it finds a C compiler (`hatch_build.py`). It imports nothing
of the package, so that it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "furiosa_ir/backends/warboy/simulator/native"
LIBRARY = FOLDER / "kernels.so"
"""What is made; absent where there was no compiler."""

_FLAGS = (
    *("-std=gnu11", "-O3", "-fwrapv", "-fno-strict-aliasing", "-fPIC", "-pthread"),
    # With it GCC 12 stores all sums of `product_block` in every step of its loop: half the speed.
    "-fno-tree-pre",
)
_AVX512 = ("-march=x86-64-v4", "-mavx512vnni", "-mprefer-vector-width=512")
_X86 = {
    "v3": ("-march=x86-64-v3",),
    "vnni": _AVX512,
    "amx": (*_AVX512, "-mamx-tile", "-mamx-int8"),
}
"""Variants beside the generic one, by what the processor has (`source/choose.c`)."""


def compiler() -> list[str] | None:
    """The C compiler's command: `CC`, or `cc`; None if there is none."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    return command if shutil.which(command[0]) else None


def build(target: Path = LIBRARY) -> Path:
    """Compiles the kernels; a compiler that knows none of the variants makes the generic one.

    Args:
        target: the shared library that is written, whole or not at all.

    Raises:
        OSError: there is no compiler.
        subprocess.CalledProcessError: it refuses the source; its words are `stderr`.
    """
    command = compiler()
    if command is None:
        raise OSError("there is no C compiler: set CC")
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".kernels-") as made:
        try:
            linked = _link(command, Path(made), _X86 if x86 else {})
        except subprocess.CalledProcessError:
            linked = _link(command, Path(made), {})
        linked.replace(target)
    return target


def _link(command: list[str], folder: Path, variants: dict[str, tuple[str, ...]]) -> Path:
    source = FOLDER / "source"
    flags: dict[str, tuple[str, ...]] = {"generic": (), **variants}
    objects = [str(folder / f"{name}.o") for name in flags]
    with ThreadPoolExecutor(len(flags)) as pool:
        compiled = [
            pool.submit(
                _run, *command, *_FLAGS, *own, f"-DVARIANT=run_plan_{name}", "-c",
                str(source / "plan.c"), "-o", made,
            )
            for (name, own), made in zip(flags.items(), objects, strict=True)
        ]  # fmt: skip
        for one in compiled:
            one.result()
    linked = folder / "kernels.so"
    defined = ["-DX86"] if variants else []
    defined.append(f'-DDIGEST="{source_digest(source)}"')
    _run(*command, *_FLAGS, *defined, "-shared", str(source / "choose.c"), *objects,
         "-o", str(linked))  # fmt: skip
    return linked


def source_digest(source: Path) -> str:
    """A digest of the source, by which `native/library.py` knows a library of another version."""
    digest = hashlib.sha256()
    for path in sorted(source.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # CC's own


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build()}\n")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}\n{error.stderr}")
    except OSError as error:
        sys.exit(f"error: {error}")
