"""A quantised network as one of real numbers, with each rounding to integers apart.

A tensor of quantised elements becomes one of real numbers, and where it is rounded stand a
`graph.quantize` and a `graph.dequantize` behind what makes it: a site, which an evaluation rounds
at or passes by. Weights and biases are the real numbers that their integers stand for.

    %1 = graph.conv %x, %w : tensor<1x8x4x4x!quant.uniform<i8:f32, 0.1:3>>

becomes

    %2 = graph.conv %x, %w : tensor<1x8x4x4xf32>
    %3 = graph.quantize %2 : tensor<1x8x4x4x!quant.uniform<i8:f32, 0.1:3>>
    %4 = graph.dequantize %3 : tensor<1x8x4x4xf32>

Nothing stands behind what only selects among rounded elements of the same quantisation, nor between
an operator and the activation that its framework fuses with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from xdsl.dialects.builtin import FloatAttr, ModuleOp, StringAttr, f32
from xdsl.dialects.func import CallOp, FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from furiosa_ir.dialects.graph.base import GraphOp, quantization_of
from furiosa_ir.dialects.graph.elementwise import ClipOp, ReluOp, TableOp
from furiosa_ir.dialects.graph.quantization import DequantizeOp, QuantizeOp, StorageCastOp
from furiosa_ir.dialects.graph.resize import ResizeOp
from furiosa_ir.dialects.graph.structure import ConstantOp, OpaqueOp
from furiosa_ir.dialects.graph.variables import AssignVariableOp, ReadVariableOp, VariableOp
from furiosa_ir.dialects.quant import Quantization, UniformType
from furiosa_ir.dialects.quant.arithmetic import dequantize, quantize
from furiosa_ir.errors import ExecutionFailure
from furiosa_ir.ir.location import layer_name
from furiosa_ir.ir.segments import main_function
from furiosa_ir.ir.shaped_operation import element_of, shape_of, tensor_type
from furiosa_ir.numerics.array import Array
from furiosa_ir.passes.integer_types import SELECTIONS, type_integers
from furiosa_ir.verification.trace import copy_module

_ROUNDED = ("i8", "u8", "i16", "u16")
"""What a rounding to which is one: accumulators and biases of 32 bits lose nothing."""

_RELU6 = 6.0


@dataclass(frozen=True)
class Site:
    """A tensor that the network stores as integers.

    Attributes:
        quantize, dequantize: the rounding, in the real form.
        written, read: how its integers are made, and how they are understood; an ONNX file may say
            one thing of either.
    """

    quantize: QuantizeOp
    dequantize: DequantizeOp
    written: Quantization
    read: Quantization


@dataclass(frozen=True)
class Layer:
    """A layer whose results are stored as integers.

    Attributes:
        name, operator: as its framework, or the text, calls it.
        sites: its results.
        maker: what computes them, in the real form; None of an input that is quantised.
    """

    name: str
    operator: str
    sites: tuple[Site, ...]
    maker: GraphOp | None


@dataclass(frozen=True)
class RealForm:
    """A network of real numbers.

    Attributes:
        module: it; its outputs are real numbers, its inputs those of the network.
        layers: in order.
        kept: layers that have a meaning in integers only, which stay as they are.
    """

    module: ModuleOp
    layers: tuple[Layer, ...]
    kept: tuple[str, ...]


def real_form(module: ModuleOp) -> RealForm:
    """The network of real numbers that a quantised one stands for.

    Args:
        module: of the graph level, cut into segments or not; it stays as it is.

    Raises:
        ExecutionFailure: it is of another level, which has integers only.
    """
    source = copy_module(module, {})
    type_integers(source)
    return _Builder(source).form()


@dataclass
class _Builder:
    """Builds the real form, operation by operation.

    Attributes:
        source: a copy of the network.
        real: value of the source -> what it is in the real form; of a quantised one its real
            numbers.
        stored: quantised value of the source -> its integers, where those are what there is.
        unrounded: what a quantised value is before it is rounded, and what makes it.
        plain: integers of no quantisation -> the quantised value whose they are.
        grids: real numbers that are steps of a quantisation if all sites round.
    """

    source: ModuleOp
    block: Block = field(default_factory=Block)
    variables: dict[str, VariableOp] = field(default_factory=dict[str, VariableOp])
    real: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    stored: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    unrounded: dict[SSAValue, tuple[SSAValue, GraphOp | None]] = field(
        default_factory=dict[SSAValue, "tuple[SSAValue, GraphOp | None]"]
    )
    plain: dict[SSAValue, SSAValue] = field(default_factory=dict[SSAValue, SSAValue])
    grids: dict[SSAValue, Quantization] = field(default_factory=dict[SSAValue, Quantization])
    sites: list[tuple[str, str, Site, GraphOp | None]] = field(
        default_factory=list[tuple[str, str, Site, "GraphOp | None"]]
    )
    kept: list[str] = field(default_factory=list[str])

    def form(self) -> RealForm:
        """The whole."""
        main = main_function(self.source)
        self.variables = _real_variables(self.source)
        for argument in main.body.block.args:
            made = self.block.insert_arg(argument.type, len(self.block.args))
            if quantization_of(argument) is None:
                self.real[argument] = made
            else:
                self.stored[argument] = made
        returned = self._function(main)
        results = [self._number(value) for value in returned]
        self.block.add_op(ReturnOp(*results))
        types = [value.type for value in results]
        arguments = [argument.type for argument in self.block.args]
        function = FuncOp("main", (arguments, types), Region(self.block))
        for name in ("arg_attrs", "res_attrs"):
            attributes = main.properties.get(name)
            if attributes is not None:
                function.properties[name] = attributes
        # TFLite's numerics of real numbers are float32's.
        attributes = {**self.source.attributes, "graph.source": StringAttr("tflite")}
        module = ModuleOp([*self.variables.values(), function], attributes)
        _drop_unused(self.block)
        used = [entry for entry in self.sites if entry[2].quantize.parent is not None]
        return RealForm(module, _layers(used), tuple(dict.fromkeys(self.kept)))

    def _function(self, function: FuncOp) -> Sequence[SSAValue]:
        for op in list(function.body.block.ops):
            if isinstance(op, ReturnOp):
                return op.operands
            self._operation(op)
        raise AssertionError("a function returns")

    def _operation(self, op: Operation) -> None:
        match op:
            case CallOp():
                self._call(op)
            case ReadVariableOp() | AssignVariableOp():
                self._access(op)
            case ConstantOp():
                into = self.real if quantization_of(op.result) is None else self.stored
                into[op.result] = self._add(op, op.clone()).results[0]
            case StorageCastOp():
                self._cast(op)
            case QuantizeOp():
                self._round(op.result, self._number(op.x), op)
            case DequantizeOp():
                self.real[op.result] = self._number(op.x)
            case GraphOp():
                self._graph_operation(op)
            case _:
                raise ExecutionFailure(
                    f"{op.name} computes with integers, and has no meaning in real numbers",
                    layer=layer_name(op) or None,
                    hint="give the network's file, or IR text of the graph level",
                )

    def _graph_operation(self, op: GraphOp) -> None:
        quantized = [v for v in (*op.operands, *op.results) if quantization_of(v) is not None]
        if quantized and isinstance(op, TableOp | OpaqueOp):
            self._keep(op)
            return
        made = op.clone({v: self._number(v) for v in op.operands})
        if quantized:  # it means something else than its origin now
            made.properties.pop("origin", None)
        for result in made.results:
            if quantization_of(result) is not None:
                result._type = tensor_type(f32, shape_of(result))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._add(op, made)
        grid = self._grid_of_selection(made)
        for old, new in zip(op.results, made.results, strict=True):
            if grid is not None:
                self.grids[new] = grid
            if quantization_of(old) is None:
                self.real[old] = new
            else:
                self._round(old, new, op)

    def _round(self, old: SSAValue, new: SSAValue, op: GraphOp) -> None:
        """What a quantised value is: real numbers, rounded or not."""
        q = quantization_of(old)
        assert q is not None
        grid = self.grids.get(new)
        if (
            q.storage not in _ROUNDED
            or (grid is not None and _same_steps(grid, q))
            or _is_inside_layer(old)
        ):
            self.grids.update({} if grid is None else {new: q})
            self.real[old] = new
            return
        maker = _maker(new)
        new = self._activated(new, q, op)
        self.unrounded[old] = new, maker
        self.real[old] = self._site(new, q, q, op, maker)

    def _site(
        self,
        x: SSAValue,
        written: Quantization,
        read: Quantization,
        op: GraphOp,
        maker: GraphOp | None,
    ) -> SSAValue:
        element = element_of(x)
        stored = self._add(op, QuantizeOp.make([x], [UniformType(written)]))
        if written != read:
            stored = self._add(op, StorageCastOp.make([stored.results[0]], [UniformType(read)]))
        made = self._add(op, DequantizeOp.make([stored.results[0]], [element]))
        quantized = stored if isinstance(stored, QuantizeOp) else stored.operands[0].owner
        site = Site(cast("QuantizeOp", quantized), cast("DequantizeOp", made), written, read)
        named = maker if maker is not None else op
        operator = "graph.quantize" if maker is None else maker.name
        self.sites.append((layer_name(named), operator.removeprefix("graph."), site, maker))
        self.grids[made.results[0]] = read
        return made.results[0]

    def _activated(self, x: SSAValue, q: Quantization, op: GraphOp) -> SSAValue:
        """Behind the activation that is nowhere but in the range of the integers.

        Quantisers drop a ReLU in front of integers that begin at zero, and a ReLU6 in front of
        those that end at six as well.
        """
        low, high = q.storage_range
        if q.axis is not None or q.zero_point != low or _is_activation(x.owner):
            return x
        top = (high - low) * q.scale
        maximum = _RELU6 if abs(top - _RELU6) <= q.scale / 2 else None
        clip = ClipOp.make([x], [element_of(x)], minimum=0.0, maximum=maximum)
        return self._add(op, clip).results[0]

    def _cast(self, op: StorageCastOp) -> None:
        source, target = quantization_of(op.x), quantization_of(op.result)
        if target is None:
            if source is not None:
                self.plain[op.result] = op.x
            else:
                self.real[op.result] = self._add(
                    op, StorageCastOp.make([self._plain(op.x)], [element_of(op.result)])
                ).results[0]
            return
        inside = self.plain.get(op.x) if source is None else op.x
        written = None if inside is None else quantization_of(inside)
        if inside is not None and written is not None:
            if _same_steps(written, target):
                self.real[op.result] = self._number(inside)
                return
            if inside in self.unrounded and written.storage == target.storage:
                x, maker = self.unrounded[inside]
                self.real[op.result] = self._site(x, written, target, op, maker)
                return
        stored = self._plain(op.x) if source is None else self._stored(op.x)
        cast_ = StorageCastOp.make([stored], [element_of(op.result)])
        self.stored[op.result] = self._add(op, cast_).results[0]

    def _keep(self, op: GraphOp) -> None:
        """An operation that integers alone give a meaning."""
        name = layer_name(op) or op.name
        kind = op.operator.data if isinstance(op, OpaqueOp) else op.name.removeprefix("graph.")
        self.kept.append(f"{name} ({kind})")
        operands = {
            v: self._plain(v) if quantization_of(v) is None else self._stored(v)
            for v in op.operands
        }
        made = self._add(op, op.clone(operands))
        for old, new in zip(op.results, made.results, strict=True):
            (self.real if quantization_of(old) is None else self.stored)[old] = new

    def _call(self, op: CallOp) -> None:
        name = op.callee.string_value()
        for callee in self.source.ops:
            if isinstance(callee, FuncOp) and callee.sym_name.data == name:
                break
        else:
            raise ExecutionFailure(f"the module has no function @{name}")
        for argument, value in zip(callee.body.block.args, op.operands, strict=True):
            self._same(argument, value)
        for result, value in zip(op.results, self._function(callee), strict=True):
            self._same(result, value)

    def _same(self, new: SSAValue, old: SSAValue) -> None:
        """A value of the source under another name."""
        for table in (self.real, self.stored, self.plain):
            if old in table:
                table[new] = table[old]
        if old in self.unrounded:
            self.unrounded[new] = self.unrounded[old]

    def _access(self, op: ReadVariableOp | AssignVariableOp) -> None:
        variable = self.variables[op.symbol]
        is_real = variable.type.element_type == f32
        location = op.location
        if isinstance(op, AssignVariableOp):
            value = self._number(op.x)
            if not is_real and quantization_of(op.x) is not None:
                value = self._stored(op.x)
            self._add(op, AssignVariableOp.of(op.symbol, value, location))
            return
        q = quantization_of(op.result)
        shape = shape_of(op.result)
        element = f32 if is_real else element_of(op.result)
        read = self._add(op, ReadVariableOp.of(op.symbol, tensor_type(element, shape), location))
        if q is None or is_real:
            self.real[op.result] = read.results[0]
            if q is not None:
                self.grids[read.results[0]] = q
        else:
            self.stored[op.result] = read.results[0]

    def _number(self, value: SSAValue) -> SSAValue:
        """A value in real numbers; one that is not quantised as it is."""
        if value not in self.real and value in self.stored:
            made = DequantizeOp.make([self.stored[value]], [f32])
            self.real[value] = self._add(value.owner, made).results[0]
            q = quantization_of(value)
            if q is not None:
                self.grids[self.real[value]] = q
        if value not in self.real and value in self.plain:
            inside = self.plain[value]
            if all(isinstance(use.operation, ReturnOp) for use in value.uses):
                return self._number(inside)  # an output in integers: what they stand for
            return self._plain(value)
        return self.real[value]

    def _stored(self, value: SSAValue) -> SSAValue:
        """The integers of a quantised value; of real numbers, those next to them."""
        if value not in self.stored:
            made = QuantizeOp.make([self._number(value)], [element_of(value)])
            self.stored[value] = self._add(value.owner, made).results[0]
        return self.stored[value]

    def _plain(self, value: SSAValue) -> SSAValue:
        """Integers that are of no quantisation."""
        if value not in self.real and value in self.plain:
            inside = self._stored(self.plain[value])
            made = StorageCastOp.make([inside], [element_of(value)])
            self.real[value] = self._add(value.owner, made).results[0]
        return self.real[value]

    def _add(self, op: Operation | Block, made: Operation) -> Operation:
        if isinstance(op, Operation):
            made.location = op.location
        self.block.add_op(made)
        return made

    def _grid_of_selection(self, op: GraphOp) -> Quantization | None:
        """The quantisation of whose steps all results are, where the operands are of it."""
        if not isinstance(op, SELECTIONS) or (
            isinstance(op, ResizeOp) and op.mode.data != "nearest"
        ):
            return None
        element = element_of(op.results[0])
        data = [v for v in op.operands if element_of(v) == element]
        variable = [v for v in data if _constant(v) is None]
        grids = {self.grids.get(v) for v in variable}
        grid = grids.pop() if len(grids) == 1 else None
        if grid is None or grid.axis is not None:
            return None
        bounds = [0.0] if isinstance(op, ReluOp) else []
        for name in ("minimum", "maximum", "value"):
            bound = op.properties.get(name)
            if isinstance(bound, FloatAttr):
                bounds.append(bound.value.data)
        constants = [c for v in data if (c := _constant(v)) is not None]
        on_it = all(_is_on(np.asarray(c, np.float64), grid) for c in (*constants, *bounds))
        return grid if on_it else None


def _same_steps(a: Quantization, b: Quantization) -> bool:
    """Whether two quantisations have the same real numbers, be their integers signed or not."""
    ends = [
        [low - zero_point for zero_point in q.zero_points]
        for q in (a, b)
        for low, _ in [q.storage_range]
    ]
    bits = a.dtype.itemsize == b.dtype.itemsize
    return bits and a.scales == b.scales and a.axis == b.axis and ends[0] == ends[1]


def _constant(value: SSAValue) -> Array | None:
    """The real numbers of a constant."""
    owner = value.owner
    if isinstance(owner, DequantizeOp):
        inside, q = owner.x.owner, quantization_of(owner.x)
        if isinstance(inside, ConstantOp) and q is not None:
            return dequantize(inside.value.array, q)
    return owner.value.array if isinstance(owner, ConstantOp) else None


def _is_on(numbers: Array, grid: Quantization) -> bool:
    """Whether numbers are steps of a quantisation, or beyond all of them."""
    steps = dequantize(quantize(numbers, grid), grid)
    low, high = grid.storage_range
    ends = [(end - grid.zero_point) * grid.scale for end in (low, high)]
    near = np.abs(steps - numbers) <= 1e-3 * grid.scale
    return bool(np.all(near | (numbers < ends[0]) | (numbers > ends[1])))


def _is_inside_layer(value: SSAValue) -> bool:
    """Whether a value goes nowhere but into the activation that is fused with its operator."""
    uses = list(value.uses)
    if len(uses) != 1 or isinstance(value.owner, QuantizeOp):
        return False
    user = uses[0].operation
    fused = isinstance(user, ReluOp | ClipOp) and isinstance(value.owner, GraphOp)
    return fused and element_of(user.results[0]) == element_of(value)


def _is_activation(owner: Operation | Block) -> bool:
    """Whether an operation leaves nothing below zero by itself."""
    if isinstance(owner, ClipOp):
        return owner.minimum is not None and owner.minimum.value.data >= 0
    return isinstance(owner, ReluOp)


def _maker(x: SSAValue) -> GraphOp | None:
    """The operation that a layer is called after: what is in front of its activation."""
    owner = x.owner
    while isinstance(owner, ReluOp | ClipOp):
        inner = owner.x
        if not isinstance(inner.owner, GraphOp) or not inner.has_one_use():
            break
        if isinstance(inner.owner, DequantizeOp):
            break
        owner = inner.owner
    if isinstance(owner, Block | ConstantOp | DequantizeOp):
        return None
    return owner if isinstance(owner, GraphOp) else None


def _layers(sites: Sequence[tuple[str, str, Site, GraphOp | None]]) -> tuple[Layer, ...]:
    """The sites by their layers; what has no name is a layer of its own."""
    found: dict[str, list[tuple[str, Site, GraphOp | None]]] = {}
    for index, (name, operator, site, maker) in enumerate(sites):
        found.setdefault(name or f"{operator} #{index}", []).append((operator, site, maker))
    return tuple(
        Layer(name, members[-1][0], tuple(site for _, site, _ in members), members[-1][2])
        for name, members in found.items()
    )


def _drop_unused(block: Block) -> None:
    for op in reversed(list(block.ops)):
        is_graph = isinstance(op, GraphOp | ReadVariableOp)
        if is_graph and all(result.first_use is None for result in op.results):
            op.detach()
            op.erase()


def _real_variables(module: ModuleOp) -> dict[str, VariableOp]:
    """The variables, those of real numbers where all that use them agree what they stand for."""
    found: dict[str, VariableOp] = {}
    accesses = [op for op in module.walk() if isinstance(op, ReadVariableOp | AssignVariableOp)]
    for op in module.ops:
        if not isinstance(op, VariableOp):
            continue
        name = op.sym_name.data
        meant = {quantization_of(a.value()) for a in accesses if a.symbol == name}
        q = meant.pop() if len(meant) == 1 else None
        if q is None:
            found[name] = op.clone()
            continue
        initial = dequantize(op.initial.array, q).astype(np.float32)
        found[name] = VariableOp.of(name, tensor_type(f32, op.type.get_shape()), initial)
    return found
