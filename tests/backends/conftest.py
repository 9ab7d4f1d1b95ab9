"""The toy backend of the examples, loaded as a plug-in and forgotten again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from furiosa_ir import backends, plugins
from furiosa_ir.backends import installed
from furiosa_ir.ir import extensions

ROOT = Path(__file__).parents[2]
TOY = ROOT / "examples" / "toy_backend"


Forget = Callable[[], None]


@pytest.fixture
def own_register(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forget]:
    """What a test registers is forgotten behind it, or when what this gives is called."""
    known = dict(backends._registered)

    def forget() -> None:
        monkeypatch.setattr(backends, "_registered", dict(known))
        for name in ("_roots", "_loaded", "_installed"):
            monkeypatch.setattr(plugins, name, {})
        monkeypatch.setattr(plugins, "_untracked", set())
        installed.load_installed.cache_clear()
        for name in list(sys.modules):
            if name.startswith(("furiosa_plugin_", "toy_backend")):
                del sys.modules[name]

    monkeypatch.setattr(extensions, "_DIALECTS", dict(extensions._DIALECTS))
    monkeypatch.setattr(extensions, "_PASS_PACKAGES", list(extensions._PASS_PACKAGES))
    forget()
    yield forget
    forget()
