"""Verification of whole modules: structure, SSA dominance, and every operation's own rules.

xDSL's verifier does not check that definitions dominate their uses, prints the whole module into
each error, and raises exceptions of several kinds. This one raises `VerificationFailure` with the
operation and the layer it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self, cast
from weakref import WeakKeyDictionary

from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.ir import Block, BlockArgument, Operation, OpResult, Region, SSAValue
from xdsl.traits import (
    HasParent,
    IsolatedFromAbove,
    IsTerminator,
    NoTerminator,
    SingleBlockImplicitTerminator,
    SymbolOpInterface,
    SymbolTable,
)
from xdsl.utils.exceptions import VerifyException

from furiosa_ir.errors import (
    MOST_DIAGNOSTICS,
    Diagnostic,
    FuriosaError,
    VerificationFailure,
)
from furiosa_ir.ir.assembly_format import AssemblyOp
from furiosa_ir.ir.declared_form import remember_what_fits
from furiosa_ir.ir.dominance import dominator_tree
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.sizes import check_shape
from furiosa_ir.plugins import is_ours, raise_plugin_failure


class OperationFailure(VerificationFailure):
    """An operation that breaks a rule of its dialect, or of SSA form.

    Attributes:
        operation: which one.
        failures: all the operations that break a rule, this one first, each alone; no more than
            `MOST_DIAGNOSTICS`. Empty in a failure that is itself one of several.
    """

    operation: Operation | None = None
    failures: tuple[OperationFailure, ...] = ()

    @classmethod
    def of(cls, op: Operation, message: str) -> Self:
        """The failure of that operation, with its layer."""
        lines = [line.strip() for line in message.splitlines() if line.strip()]
        text = "; ".join(lines).replace(":; ", ": ")
        if not text.startswith(op.name):
            text = f"{op.name}: {text}"
        failure = cls(text, layer=layer_name(op) or None)
        failure.operation = op
        return failure

    @classmethod
    def of_all(
        cls,
        failures: Sequence[OperationFailure],
        count: int,
        places: Callable[[Operation], Diagnostic | None] = lambda _: None,
        before: str = "",
        hint: str | None = None,
    ) -> Self:
        """One failure for several: the first one's sentence, and how many more there are.

        Args:
            failures: the failures, each of one operation.
            count: how many there are; `failures` may be the first of them.
            places: where a text has an operation (a diagnostic whose message is not looked at).
            before: stands in front of the first one's message ("after the pass 'x': ").
            hint: the way out, if there is one.
        """
        first = failures[0]
        more = f"; and {count - 1} more error{'s' if count > 2 else ''}" if count > 1 else ""
        found = [
            (places(f.operation) if f.operation is not None else None) or Diagnostic("")
            for f in failures
        ]
        failure = cls(
            f"{before}{first.message}{more}", file=found[0].place, layer=first.layer, hint=hint
        )
        failure.operation, failure.failures = first.operation, tuple(failures)
        failure.unlisted = count - len(failures)
        failure.diagnostics = tuple(
            place._replace(message=f.message, layer=f.layer)
            for f, place in zip(failures, found, strict=True)
        )
        return failure

    @override
    def at(
        self, *, file: str | None = None, layer: str | None = None, hint: str | None = None
    ) -> OperationFailure:
        copy = cast("OperationFailure", super().at(file=file, layer=layer, hint=hint))
        copy.operation, copy.failures = self.operation, self.failures
        return copy


Fault = tuple[Operation, str]
"""An operation, and what is wrong with it."""


def raise_faults(faults: Iterable[Fault]) -> None:
    """Refuses what a verifier has found, if it has found anything.

    Raises:
        OperationFailure: one failure for all faults.
    """
    found = _Found()
    for op, message in faults:
        found.add(op, message)
    if found.failures:
        raise OperationFailure.of_all(found.failures, found.count)


Sound = dict[Hashable, object]
"""Keys of operations that break no rule -> `AssemblyOp.key_holds`."""
_LAST: WeakKeyDictionary[ModuleOp, Sound] = WeakKeyDictionary()
"""What was sound when a module was verified last: most of a network that has been imported is what
it was when its segments have been found."""


def verify_module(module: ModuleOp) -> None:
    """Checks the module and everything in it.

    Raises:
        OperationFailure: something is wrong; its `failures` are all there is.
    """
    found = _Found(before=_LAST.pop(module, {}))
    _verify(module, set(), found)
    _LAST[module] = {key: held for key, held in found.sound.items() if held is not None}
    if found.failures:
        raise OperationFailure.of_all(found.failures, found.count)


@dataclass(slots=True)
class _Found:
    """What a verification has found so far."""

    failures: list[OperationFailure] = field(default_factory=list[OperationFailure])
    count: int = 0
    before: Sound = field(default_factory=dict[Hashable, object])
    """What was sound the last time."""
    sound: Sound = field(default_factory=dict[Hashable, object])

    def add(self, op: Operation, message: str) -> None:
        self.count += 1
        if len(self.failures) < MOST_DIAGNOSTICS:
            self.failures.append(OperationFailure.of(op, message))


def _verify(op: Operation, visible: set[int], found: _Found) -> None:
    """One operation and what is inside; `visible` are the values its operands may be.

    Values are named by their `id`, as xDSL hashes them by a method in Python, and operations are
    followed without the objects that xDSL makes to look at them: most of the time went there.
    """
    before = found.count
    for index, operand in enumerate(op._operands):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if id(operand) not in visible:
            found.add(op, _not_visible(op, index, operand))
            break
    if op.regions:
        inherited: set[int] = set() if op.has_trait(IsolatedFromAbove) else visible
        for region in op.regions:
            _verify_region(op, region, inherited, found)
        if op.has_trait(SymbolTable):
            _verify_symbols(op, found)
    if found.count > before:
        return  # an operation's own rules may rely on what is inside and on its operands
    key = _key(op)
    if key in found.sound:
        return
    if key in found.before:
        found.sound[key] = found.before[key]
        return
    message = operation_fault(op)
    if message is not None:
        found.add(op, message)
    elif key is not None:
        found.sound[key] = _key_holds(op)


def _verify_symbols(table: Operation, found: _Found) -> None:
    """xDSL's verifier says of the whole table that a symbol is there twice."""
    names: set[str] = set()
    for op in (op for region in table.regions for block in region.blocks for op in block.ops):
        name = op.get_attr_or_prop("sym_name") if op.has_trait(SymbolOpInterface) else None
        if not isinstance(name, StringAttr):
            continue
        if name.data in names:
            found.add(op, f"redefinition of the symbol @{name.data}")
        names.add(name.data)


def _key(op: Operation) -> Hashable | None:
    kind = type(op)
    if _is_upstream(kind):
        return _upstream_key(op)
    key = cast("AssemblyOp", op).verification_key() if _has_key(kind) else None
    return None if key is None else (kind, key)


@lru_cache(maxsize=1 << 9)
def _has_key(kind: type[Operation]) -> bool:
    """A plug-in's rules may look at anything."""
    return issubclass(kind, AssemblyOp) and is_ours(kind)


_UPSTREAM = frozenset(f"xdsl.dialects.{name}" for name in ("arith", "tensor", "linalg.ops"))
"""Dialects of xDSL's whose rules look at types, properties and attributes; where a trait looks at
what is around or inside of an operation, that is left out."""


@lru_cache(maxsize=1 << 9)
def _is_upstream(kind: type[Operation]) -> bool:
    looks = (HasParent, SingleBlockImplicitTerminator)
    return kind.__module__ in _UPSTREAM and not any(map(kind.get_traits_of_type, looks))


def _upstream_key(op: Operation) -> Hashable | None:
    """Bodies of loops hold the same few operations thousands of times."""
    if op.attributes or op._successors:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return None
    if op.regions and not all(_is_plain(region) for region in op.regions):
        return None
    held = op.properties
    types = [id(v.type) for v in (*op._operands, *op.results)]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return type(op), len(op.results), *types, *held, *map(id, held.values())


def _is_plain(region: Region) -> bool:
    """Whether a region is as these dialects have them: one block."""
    first = region.first_block
    return first is not None and first is region.last_block


def _key_holds(op: Operation) -> object:
    """What a key names by its `id`, which must not become another object's."""
    if not _is_upstream(type(op)):
        return cast("AssemblyOp", op).key_holds()
    return [v.type for v in (*op.operands, *op.results)], [*op.properties.values()]


@lru_cache(maxsize=1 << 9)
def _is_terminator(kind: type[Operation]) -> bool:
    """Of every operation there is, which xDSL looks for among its traits one by one."""
    return kind.has_trait(IsTerminator)


def operation_fault(op: Operation) -> str | None:
    """What is wrong with an operation by its own rules; None if nothing is."""
    try:
        for result in op.results:
            _check_size(result)
        remember_what_fits(type(op))
        op.verify_()
    except FuriosaError as error:
        return error.message
    except VerifyException as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # text can be wrong in ways no shape rule foresaw
        raise_plugin_failure(error, layer_name(op) or None)
        return f"{op.name} is malformed ({type(error).__name__}: {error})"
    return None


def _check_size(value: SSAValue) -> None:
    if isinstance(value.type, TensorType):
        check_shape(value.type.get_shape(), "a value")


def _verify_region(op: Operation, region: Region, visible: set[int], found: _Found) -> None:
    """What is in a region; `visible`, which is what it was in the end, is seen from outside."""
    blocks = list(region.blocks)
    try:
        for block in blocks:
            for argument in block.args:
                _check_size(argument)
    except FuriosaError as error:
        found.add(op, error.message)
    must_end = len(blocks) != 1 or not op.has_trait(NoTerminator)
    roots, dominated = dominator_tree(region)
    # `visible` grows and shrinks along the tree: a copy for each block would be quadratic.
    pending: list[tuple[Block, bool]] = [(block, True) for block in reversed(roots)]
    added: list[list[int]] = []
    while pending:
        block, entering = pending.pop()
        if not entering:
            visible.difference_update(added.pop())
            continue
        mine = [value for value in _values(block) if value not in visible]
        added.append(mine)
        pending.append((block, False))
        pending.extend((child, True) for child in reversed(dominated[block]))
        visible.update(map(id, block.args))
        _verify_block(op, block, visible, found, last_must_end=must_end)


def _values(block: Block) -> Iterator[int]:
    """What a block defines."""
    yield from map(id, block.args)
    for op in _operations(block):
        yield from map(id, op.results)


def _operations(block: Block) -> Iterator[Operation]:
    op = block.first_op
    while op is not None:
        yield op
        op = op._next_op  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _verify_block(
    parent: Operation, block: Block, values: set[int], found: _Found, *, last_must_end: bool
) -> None:
    last = block.last_op
    if last is None:
        if last_must_end:
            found.add(parent, "has an empty block, which needs a terminator")
        return
    for op in _operations(block):
        before = found.count
        if op.parent is not block:
            found.add(op, "its parent is not the block it is in")
        elif op._successors or _is_terminator(type(op)):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            if op is not last:
                found.add(op, "a terminator in the middle of a block")
            elif any(s.parent is not block.parent for s in op.successors):
                found.add(op, "branches to a block of another region")
        elif op is last and last_must_end:
            found.add(op, "ends its block but is not a terminator")
        if found.count == before:
            _verify(op, values, found)
        values.update(map(id, op.results))


def _not_visible(op: Operation, index: int, operand: SSAValue) -> str:
    if not isinstance(operand, OpResult | BlockArgument):
        # As the parser leaves it, if what would define it is within the operation itself.
        return f"operand {index} is defined nowhere around it"
    owner = operand.owner
    if isinstance(owner, Operation):
        if owner.parent is None:
            return f"operand {index} is a result of {owner.name}, which is not in the module"
        what = f"a result of {owner.name}"
        if owner.parent is op.parent:
            return f"operand {index}, {what}, is used before it is defined"
    else:
        what = "an argument of another block"
    return f"operand {index}, {what}, does not dominate this use"
