"""Full and read-only file systems and directories: the right program, and one warning.

Each runs in a process of its own: mounts in a mount namespace that ends with it, limits and users
likewise.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cache.conftest import TFLITE
from tests.conftest import ROOT

COMPILE = f"""
compile() {{
    {shlex.quote(sys.executable)} -c 'from furiosa_ir.tools.furiosa import main; main()' \
        compile {shlex.quote(str(TFLITE))} -o output.enf || exit 1
    cmp output.enf fresh.enf || exit 1
    rm output.enf
}}
"""
"""A shell function: compiles TFLITE, and fails unless that gives the right program."""
NOBODY = 65534


def can_mount() -> bool:
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /tmp"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this machine lets us mount nothing")


@pytest.fixture(autouse=True)
def folder(fresh: bytes) -> Iterator[Path]:
    """Not pytest's, whose parent every pytest that starts closes to other users."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fresh.enf").write_bytes(fresh)
        (folder / "cache").mkdir()
        yield folder


def shell(folder: Path, script: str, **environment: str) -> list[str]:
    """What each `compile` of a script says: "hit", "compiled" or its one warning."""
    result = subprocess.run(
        ["unshare", "-rm", "sh", "-ec", COMPILE + script],
        cwd=folder,
        env=os.environ
        | {"FC_CACHE_ENABLED": "1", "FC_CACHE_STORE_URL": str(folder / "cache")}
        | {"PYTHONPATH": str(ROOT)}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    said: list[str] = []
    for run in result.stderr.split("Written to output.enf\n")[:-1]:
        warnings = [line for line in run.splitlines() if line.startswith(("WARNING", "ERROR"))]
        hit = "Found in the cache" in run
        assert len(warnings) + hit <= 1, run
        said.append(warnings[0] if warnings else "hit" if hit else "compiled")
    return said


@needs_mounts
@pytest.mark.parametrize("limit", ["size=16k", "nr_inodes=4"])
def test_a_full_disk(folder: Path, limit: str):
    script = f"""
    mount -t tmpfs -o {limit} tmpfs cache
    compile
    test -z "$(find cache -name '*.entry' -o -type f -name '.*')"
    mount -o remount,size=10m,nr_inodes=1000 cache
    compile
    compile
    """
    first, second, third = shell(folder, script)
    assert "no space left on device" in first
    assert (second, third) == ("compiled", "hit")


@needs_mounts
def test_a_disk_that_fills_up(folder: Path):
    """What is stored stays sound, and hits, when there is no room for more."""
    script = """
    mount -t tmpfs -o size=10m tmpfs cache
    compile
    dd if=/dev/zero of=cache/filler bs=4k 2>/dev/null || true
    compile
    FC_CACHE_LIFETIME=0
    export FC_CACHE_LIFETIME
    compile
    """
    first, second, third = shell(folder, script)
    assert (first, second) == ("compiled", "hit")
    assert "no space left on device" in third


@needs_mounts
@pytest.mark.parametrize("lifetime", ["-1", "3600"])
def test_a_read_only_file_system(folder: Path, lifetime: str):
    script = """
    mount --bind cache cache
    mount -o remount,ro,bind cache
    compile
    mount -o remount,rw,bind cache
    compile
    mount -o remount,ro,bind cache
    compile
    """
    first, second, third = shell(folder, script, FC_CACHE_LIFETIME=lifetime)
    assert "read-only file system" in first
    assert (second, third) == ("compiled", "hit")


@needs_mounts
def test_a_damaged_entry_on_a_read_only_file_system(folder: Path):
    script = """
    compile
    for file in cache/2/*/*.entry; do printf x >> "$file"; done
    mount --bind cache cache
    mount -o remount,ro,bind cache
    compile
    """
    first, second = shell(folder, script)
    assert first == "compiled"
    assert "an entry is damaged" in second
    assert "cannot be thrown away: read-only file system" in second


@needs_mounts
def test_a_home_that_cannot_be_used(folder: Path):
    script = """
    mkdir everything
    mount --rbind / everything
    mount -o remount,ro,bind everything
    for HOME in /dev/null /proc "$PWD/everything/home"; do
        export HOME
        compile
    done
    """
    said = shell(folder, script, FC_CACHE_STORE_URL="")
    assert ["is not used" in each for each in said] == [True] * 3


SCRIPT = """
import logging, os, resource, sys
from pathlib import Path
from furiosa_ir.cache import directory
from furiosa_ir.cache.compilation import compile_program
from furiosa_ir.cache.fingerprint import compiler_fingerprint
from furiosa_ir.cache.settings import CacheSettings
from furiosa_ir.compiler import compile_source

model, cache, limit, user = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), *sys.argv[3:]
fresh = compile_source(model, target="warboy-2pe").enf  # and what it imports is in memory
compiler_fingerprint()
if limit != "-":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
if user != "-":
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
directory.LONGEST_WAIT = 0.5
for _ in range(2):
    result = compile_program(model, target="warboy-2pe", settings=CacheSettings(cache, 3600))
    assert bytes(result.program) == fresh
    print("hit" if result.from_cache else "compiled")
"""


def script(folder: Path, limit: str = "-", user: str = "-") -> tuple[list[str], list[str]]:
    """(what two compiles say, their warnings), under a limit of file size and as another user."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(TFLITE), str(folder / "cache"), limit, user],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split(), result.stderr.splitlines()


@pytest.mark.parametrize("limit", [0, 100, 10_000])
def test_a_file_that_must_not_grow(folder: Path, limit: int):
    said, warnings = script(folder, limit=str(limit))
    assert said == ["compiled", "compiled"]
    assert len(warnings) == 2
    assert all("file too large" in warning for warning in warnings)
    assert not [p for p in (folder / "cache").rglob("*") if p.name.startswith(".")]
    assert script(folder) == (["compiled", "hit"], [])


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


def reachable(folder: Path) -> None:
    """Lets others pass through the folders that pytest has made for us alone."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o111)


@needs_root
def test_a_directory_that_may_only_be_read(folder: Path):
    reachable(folder)
    cache = folder / "cache"
    cache.chmod(0o755)
    said, warnings = script(folder, user=str(NOBODY))
    assert said == ["compiled", "compiled"]
    assert len(warnings) == 2
    assert all("permission denied" in warning for warning in warnings)
    assert script(folder) == (["compiled", "hit"], [])
    assert script(folder, user=str(NOBODY)) == (["hit", "hit"], [])
    cache.chmod(0o700)  # and one that may not even be read
    said, warnings = script(folder, user=str(NOBODY))
    assert said == ["compiled", "compiled"]
    assert len(warnings) == 2


@needs_root
def test_an_entry_that_only_its_owner_may_read(folder: Path):
    reachable(folder)
    cache = folder / "cache"
    cache.chmod(0o777)
    assert script(folder) == (["compiled", "hit"], [])
    [entry] = cache.rglob("*.entry")
    entry.chmod(0o600)
    said, [warning] = script(folder, user=str(NOBODY))
    assert said == ["compiled", "hit"]
    assert "thrown away: it must not be read" in warning


@needs_root
def test_users_wait_for_each_other(folder: Path):
    """A lock that another user has made, who has not finished yet."""
    reachable(folder)
    cache = folder / "cache"
    cache.chmod(0o1777)
    before = os.umask(0o022)
    try:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(TFLITE), str(cache)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        said, warnings = script(folder, user=str(NOBODY))
        assert said == ["compiled", "hit"]
        assert ["not waiting" in warning for warning in warnings] == [True]
        holder.communicate()
    finally:
        os.umask(before)


HOLDER = """
import sys
from pathlib import Path
from furiosa_ir.cache.directory import DirectoryStore
from furiosa_ir.cache.key import Inputs, compile_key

key = compile_key(Inputs(Path(sys.argv[1]).read_bytes(), "warboy-2pe"))
with DirectoryStore(Path(sys.argv[2])).compiling(key.digest, 3600):
    print("held", flush=True)
    sys.stdin.read()
"""
