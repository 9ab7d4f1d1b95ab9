"""IR before and after passes: `--print-ir-before`, `-after`, `-after-change`, `-after-failure`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.errors import readable
from furiosa_ir.instrumentation.differences import unified
from furiosa_ir.instrumentation.options import Passes
from furiosa_ir.instrumentation.view import View
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation

INPUT, BEFORE, AFTER, FAILURE = "of", "Before", "After", "After Failure of"


@dataclass(frozen=True)
class Dump:
    """The IR at one moment, or what a pass changed of it.

    Attributes:
        number: how many passes had begun; the first pass's dumps have 1.
        when: `INPUT`, `BEFORE`, `AFTER` or `FAILURE`.
        what: the pass with its options, or what failed.
        function: the symbol of the function that is shown alone; "" where the module is.
        text: IR or, where `is_difference`, a unified diff.
        is_difference: whether it is one.
    """

    number: int
    when: str
    what: str
    function: str
    text: str
    is_difference: bool = False

    @property
    def header(self) -> str:
        """The line that stands above it, as mlir-opt has it."""
        where = f" (@{readable(self.function)})" if self.function else ""
        return f"// -----// IR Dump {self.when} {self.what}{where} //----- //"


@dataclass
class IrDumps(Instrumentation):
    """Dumps IR around passes.

    Attributes:
        view: what is shown.
        take: is given each dump.
        before, after: around which passes.
        only_changes: only what a pass changed.
        differences: dump a diff in place of what a pass left.
        failures: dump what something failed on.
        with_input: dump what the first pass is given.
    """

    view: View
    take: Callable[[Dump], None]
    before: Passes = False
    after: Passes = False
    only_changes: bool = False
    differences: bool = False
    failures: bool = False
    with_input: bool = False
    _number: int = 0
    _is_new: bool = True
    _content: dict[str, str] | None = None
    _shown: dict[str, str] = field(default_factory=dict[str, str])

    @override
    def before_pipeline(self, module: ModuleOp) -> None:
        self._content, self._is_new = None, True
        # A pipeline may stop long before a pass that is to be dumped.
        if self.view.layers is not None:
            self.view.layers.check(module)

    @override
    def before_pass(self, what: Pass, module: ModuleOp) -> None:
        if self.with_input and self._is_new:
            self._dump(INPUT, "input", self.view.texts(module))
        self._is_new = False
        self._number += 1
        if _names(self.before, what):
            self._dump(BEFORE, str(what.spec()), self.view.texts(module))
        if not (self._compares and _names(self.after, what)):
            self._content = None
        elif self._content is None:  # else the last pass left it so
            self._content = self._comparable(module)

    @property
    def _compares(self) -> bool:
        # Of functions, those are shown that a pass changed.
        return self.only_changes or self.differences or self.view.by_function

    def _comparable(self, module: ModuleOp) -> dict[str, str]:
        if self.differences and self.view.style.elide:
            self._shown = self.view.comparable(module, elide=True)
        return self.view.comparable(module, elide=False)

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        if not _names(self.after, what):
            return
        if not self._compares:
            self._dump(AFTER, str(what.spec()), self.view.texts(module))
            return
        old, shown = self._content or {}, self._shown
        new = self._content = self._comparable(module)
        changed = [key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key)]
        if self.differences:
            if self.view.style.elide:
                old, new = shown, self._shown
            texts = {key: _difference(old, new, key, what.name) for key in changed}
            self._dump(AFTER, str(what.spec()), texts, is_difference=True)
        elif changed:
            texts = self.view.texts(module)
            gone = {key: "// it is gone" for key in changed if key not in texts}
            self._dump(AFTER, str(what.spec()), _chosen(texts, changed) | gone)

    @override
    def failed(self, what: str, module: ModuleOp) -> None:
        if not self.failures:
            return
        try:
            texts = self.view.texts(module)
        except Exception as error:  # noqa: BLE001  # what a pass leaves half done may not print
            texts = {"": f"// it cannot be printed: {type(error).__name__}: {error}"}
        self._dump(FAILURE, what.removeprefix("the "), texts)

    def _dump(
        self, when: str, what: str, texts: dict[str, str], *, is_difference: bool = False
    ) -> None:
        for function, text in texts.items():
            self.take(Dump(self._number, when, what, function, text, is_difference))


def _names(passes: Passes, what: Pass) -> bool:
    return passes if isinstance(passes, bool) else what.name in passes


def _chosen(texts: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    return {key: texts[key] for key in keys if key in texts}


def _difference(old: dict[str, str], new: dict[str, str], key: str, name: str) -> str:
    text = unified(old.get(key, ""), new.get(key, ""), name)
    return text or "// only elements of constants, which are left out here"
