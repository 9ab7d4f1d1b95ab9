"""Every command and every piece of Python of every page is run by a test, or says why not.

Pages that have a test of their own are run there; this module runs all others. A block that is not
run has a reason in the page, in a comment in front of it, and the reason is checked (`not_run`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from furiosa_ir.ir import extensions
from tests.conftest import ROOT
from tests.docs.blocks import Block, blocks_of, page_text
from tests.docs.not_run import faults
from tests.docs.running import run_page

ELSEWHERE = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "editors/vscode/README.md",
    "examples/digits/README.md",
    "examples/wrong_passes/README.md",
    "furiosa_ir/passes/README.md",
)
PAGES = [*sorted(p.name for p in (ROOT / "docs").glob("*.md")), *ELSEWHERE]

OWN: dict[str, tuple[str, dict[str, int]]] = {
    "adding-a-backend.md": ("test_adding_a_backend", {"sh": 1, "python": 1}),
    "adding-an-instruction.md": ("test_adding_an_instruction", {"python": 4}),
    "adding-an-operator.md": ("test_adding_an_operator", {"python": 3, "sh": 1}),
    "api.md": ("test_api", {"python": 4}),
    "evaluate.md": ("test_evaluate_page", {"sh": 4, "python": 1}),
    "finding-a-wrong-pass.md": ("test_finding_a_wrong_pass", {"sh": 6}),
    "pipelines.md": ("test_pipelines", {"sh": 5, "python": 1}),
    "reading-the-report.md": ("test_reading_the_report", {"sh": 3}),
    "reproducers.md": ("test_reproducers", {"sh": 2}),
    "sensitivity.md": ("test_sensitivity_page", {"sh": 2, "python": 1}),
    "tutorial.md": ("test_tutorial", {"sh": 18}),
    "watching-passes.md": ("test_watching_passes", {"sh": 8, "python": 1}),
}
"""Page -> the module here that runs it, and how many blocks of each kind it runs.

Who adds a block there sees to it that the module runs it, and says so here.
"""


def to_run(page: str) -> list[Block]:
    return [b for b in blocks_of(page_text(page)) if b.is_run and not b.note.startswith("not")]


SLOW = {
    "adding-a-dialect.md",
    "batch-size.md",
    "caching-in-a-fleet.md",
    "getting-started-compiler.md",
    "mlir.md",
    "quantising-well.md",
    "quantize.md",
    "search.md",
    "verify.md",
}
"""Pages that take more than some seconds."""
GENERAL = [page for page in PAGES if page not in OWN and to_run(page)]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_says_why(page: str) -> None:
    excused = [b for b in blocks_of(page_text(page)) if b.note.startswith("not")]
    assert [fault for block in excused for fault in faults(block)] == []


@pytest.mark.parametrize("page", OWN)
def test_a_page_with_a_test_of_its_own_has_what_that_runs(page: str) -> None:
    module, counts = OWN[page]
    source = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
    assert page in source
    assert Counter(block.kind for block in to_run(page)) == counts


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[pytest.mark.slow] if p in SLOW else []) for p in GENERAL]
)
def test_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, as its reader does; and prints what the page shows."""
    monkeypatch.setattr(extensions, "_DIALECTS", dict(extensions.dialects()))
    monkeypatch.setenv("FC_CACHE_ENABLED", "1")
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path / "work")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert run_page(page, folder).done


PAGE = """
A file `a.py`:

```python
x = 1
```

    furiosa list passes          # all of them
    and more

<!-- run: exit code 2 -->
```sh
furiosa compile --lost
```

```
Error
```

```console
$ furiosa list ops
```

<!-- run: not, takes minutes -->
    make bench

<!-- run first
y = 2
-->
```python
print(y)
```

    no command

1. In a list:

    ```sh
    furiosa list rules
    ```

    import furiosa_ir
"""


def test_blocks_are_found() -> None:
    found = [(b.kind, b.text, b.note) for b in blocks_of(PAGE)]
    assert found == [
        ("file", "x = 1\n", ""),
        ("sh", "furiosa list passes          # all of them\n", ""),
        ("sh", "furiosa compile --lost\n", "exit code 2"),
        ("shown", "Error\n", ""),
        ("sh", "$ furiosa list ops\n", ""),
        ("sh", "make bench\n", "not, takes minutes"),
        ("first", "y = 2", ""),
        ("python", "print(y)\n", ""),
        ("sh", "furiosa list rules\n", ""),
        ("python", "import furiosa_ir\n", ""),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("make bench", None),
        ("make banch", "no target ['banch']"),
        ("furiosa run x.enf", "not 'takes minutes'"),
    ],
)
def test_a_reason_is_checked(text: str, fault: str | None) -> None:
    found = faults(Block("sh", text, 1, note="not, takes minutes"))
    assert found == [] if fault is None else fault in found[0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("furiosa compile a.onnx --optimize search --scheduler tcp://10.0.0.1:8786", None),
        ("furiosa compile a.onnx --schedular tcp://10.0.0.1:8786", "No such option"),
        ("furiosa compile a.onnx", "not 'needs other machines'"),
    ],
)
def test_commands_that_are_not_run_take_their_options(text: str, fault: str | None) -> None:
    found = faults(Block("sh", text, 1, note="not, needs other machines"))
    assert found == [] if fault is None else fault in found[0]


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("    furiosa list passes\n\n```\nschedule-nothing\n```\n", "not printed"),
        ("```python\nraise ValueError\n```\n", "ValueError"),
        ("    furiosa list lost\n", "ends with"),
    ],
)
def test_a_wrong_page_fails(
    page: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.docs.running.page_text", lambda _: page)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, ValueError)) as error:
        run_page("page.md", tmp_path)
    assert fault in repr(error)
