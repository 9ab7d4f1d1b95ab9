"""Which of LiteRT's kernels define what a network means.

The reference kernels do, where LiteRT's reference resolver has every operator in the version that
the file asks for. Where it lacks one, the network runs in LiteRT on the optimised kernels only, and
those round differently (`docs/numerics.md`).
"""

from __future__ import annotations

from furiosa_ir.importers.tflite.file import FileRecord

REFERENCE_VERSIONS = {
    "ABS": 3,
    "ADD": 5,
    "ARG_MAX": 2,
    "ARG_MIN": 2,
    "CEIL": 0,
    "COS": 1,
    "DEPTHWISE_CONV_2D": 6,
    "DEPTH_TO_SPACE": 1,
    "ELU": 0,
    "GELU": 2,
    "HASHTABLE": 0,
    "HASHTABLE_FIND": 0,
    "HASHTABLE_IMPORT": 0,
    "HASHTABLE_SIZE": 0,
    "MUL": 7,
    "RANGE": 1,
    "ROUND": 0,
    "SEGMENT_SUM": 0,
    "SIN": 1,
    "SOFTMAX": 3,
    "SQUEEZE": 1,
    "STABLEHLO_AND": 0,
    "STABLEHLO_CASE": 0,
    "STABLEHLO_SHIFT_LEFT": 0,
    "STRIDED_SLICE": 4,
    "TILE": 2,
    "TRANSPOSE": 8,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
}
"""Greatest version in the reference resolver, where the optimised one has more (LiteRT 2.3.0)."""


def has_reference_kernels(file: FileRecord) -> bool:
    """Whether LiteRT's reference resolver accepts the file.

    LiteRT resolves every operator code of a file, those that no operator uses and those of other
    subgraphs included; what a part leaves out is not in its file.
    """
    return all(
        code.is_custom or code.version <= REFERENCE_VERSIONS.get(code.op_type, code.version)
        for code in file.resolved_codes
    )
