"""What custom operators make whose kernels are Python's: as these tell."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from furiosa_ir.errors import ImportFailure
from furiosa_ir.host_kernels import HostOperator, HostTensor, find_kernel, result_types
from furiosa_ir.host_kernels.tflite_model import options_of
from furiosa_ir.importers.tflite.file import TensorRecord
from furiosa_ir.importers.tflite.operator import ImportedOperator
from furiosa_ir.ir.shaped_operation import DYNAMIC, Shape, shape_of


def kernel_shapes(
    node: ImportedOperator, outputs: Sequence[TensorRecord], *, declared: bool
) -> Sequence[Shape] | None:
    """The shapes of a custom operator's results; None where it has no kernel that tells them.

    Args:
        node: the operator.
        outputs: its results, whose element types the file has.
        declared: whether their shapes are the file's, too, where it has them.

    Raises:
        FuriosaError: the kernel raises an error, or makes other element types.
    """
    kernel = find_kernel(node.op_type)
    if kernel is None:
        return None
    # Of [] nobody can tell whether it is a scalar or left out.
    complete = declared and all(t.shape and -1 not in t.signature for t in outputs)
    if complete and kernel.results is None:
        return None
    operands = zip(node.inputs, node.operands, strict=True)
    operator = HostOperator(
        kernel.name,
        outputs[0].name if outputs else "",
        tuple(None if t is None else _tensor(t, _shape(v)) for t, v in operands),
        tuple(_tensor(t, None) for t in outputs),
        options_of(node.record.custom_options),
        node.record.custom_options,
    )
    types = result_types(kernel, operator, [node.constant(i) for i in range(len(node.operands))])
    if types is None:
        return None
    for tensor, (_, dtype) in zip(outputs, types, strict=True):
        if dtype.kind != tensor.dtype.kind:
            raise ImportFailure(
                f"the host kernel of '{kernel.name}' makes {dtype} for '{tensor.name}', which the "
                f"file declares as {tensor.dtype}"
            )
    return [tuple(DYNAMIC if n < 0 else n for n in shape) for shape, _ in types]


def _shape(value: SSAValue | None) -> Shape | None:
    return None if value is None else tuple(-1 if n == DYNAMIC else n for n in shape_of(value))


def _tensor(record: TensorRecord, shape: Shape | None) -> HostTensor:
    q = record.quantization
    if q is None or len(q.scales) != 1:
        return HostTensor(record.name, shape, record.dtype)
    return HostTensor(record.name, shape, record.dtype, q.scales[0], q.zero_points[0])
