"""A TFLite file as objects, for who writes another one: bounded before anything is unpacked."""

from __future__ import annotations

from typing import Any

from furiosa_ir.importers.tflite.vectors import Vectors, checked_length, refuse_sharing
from furiosa_ir.tflite_schema import tflite

_LEAST_TABLE = 32
"""Bytes that an operator takes at least, with its place in the list and two vectors of one."""


def unpacked(content: bytes, schema: Any) -> Any:
    """The `ModelT` of a file.

    Unpacking copies what tables share once for each of them, and tables that lists share, too.

    Args:
        content: the file.
        schema: LiteRT's module of the file format.

    Raises:
        ImportFailure: that would be SHARES times the file, or more tables than it has room for.
        CORRUPTION: the file is corrupt (`importers.tflite.file`).
    """
    _check(tflite.Model.GetRootAs(content, 0), len(content))
    return schema.ModelT.InitFromPackedBuf(content, 0)


def _check(model: Any, size: int) -> None:
    vectors = Vectors(size)
    graphs = checked_length(model.SubgraphsLength(), size, "subgraphs")
    counts = [
        (
            checked_length(model.Subgraphs(i).TensorsLength(), size, "tensors"),
            checked_length(model.Subgraphs(i).OperatorsLength(), size, "operators"),
        )
        for i in range(graphs)
    ]
    if _LEAST_TABLE * sum(operators for _, operators in counts) > 2 * size:
        refuse_sharing()
    if _LEAST_TABLE * sum(tensors for tensors, _ in counts) > 4 * size:  # names may be left out
        refuse_sharing()
    for index, (tensors, operators) in enumerate(counts):
        graph = model.Subgraphs(index)
        for i in range(tensors):
            _take_tensor(graph.Tensors(i), vectors)
        for i in range(operators):
            operator = graph.Operators(i)
            vectors.take(
                4 * (operator.InputsLength() + operator.OutputsLength())
                + 4 * operator.IntermediatesLength()
                + operator.MutatingVariableInputsLength()
                + operator.CustomOptionsLength()
            )
    for i in range(checked_length(model.BuffersLength(), size, "buffers")):
        vectors.take(model.Buffers(i).DataLength())


def _take_tensor(tensor: Any, vectors: Vectors) -> None:
    vectors.take(4 * (tensor.ShapeLength() + tensor.ShapeSignatureLength()))
    vectors.take(len(tensor.Name() or b""))
    quantization = tensor.Quantization()
    if quantization is not None:
        vectors.take(4 * (quantization.MinLength() + quantization.MaxLength()))
        vectors.take(4 * quantization.ScaleLength() + 8 * quantization.ZeroPointLength())
    sparsity = tensor.Sparsity()
    if sparsity is not None:
        vectors.take(4 * (sparsity.TraversalOrderLength() + sparsity.BlockMapLength()))
