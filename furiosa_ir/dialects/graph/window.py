"""How the frameworks write sliding windows: padding rules, attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from furiosa_ir.dialects.graph.base import OnnxNode, TFLiteNode
from furiosa_ir.errors import VerificationFailure


def same_pads(
    extents: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    upper: bool = True,
) -> list[int]:
    """Padding that makes the output ceil(extent / stride): begins, then ends.

    The odd element goes to the end (`upper`: SAME of TFLite, SAME_UPPER of ONNX) or the begin.
    """
    begins: list[int] = []
    ends: list[int] = []
    for extent, k, s, d in zip(extents, kernel, strides, dilations, strict=True):
        total = max(0, (-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent)
        small, large = total // 2, total - total // 2
        begins.append(small if upper else large)
        ends.append(large if upper else small)
    return begins + ends


def onnx_window(node: OnnxNode, kernel: Sequence[int]) -> dict[str, Any]:
    """strides, pads and dilations of an ONNX node, complete, with auto_pad resolved."""
    n = len(kernel)
    attributes = node.attributes
    _check_kernel_shape(node, kernel)
    strides = list(attributes.get("strides") or [1] * n)
    dilations = list(attributes.get("dilations") or [1] * n)
    pads = list(attributes.get("pads") or [0] * 2 * n)
    auto_pad = attributes.get("auto_pad", "NOTSET")
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        upper = auto_pad == "SAME_UPPER"
        pads = same_pads(node.shape(0)[2:], kernel, strides, dilations, upper=upper)
    elif auto_pad == "VALID":
        pads = [0] * 2 * n
    return {"strides": strides, "pads": pads, "dilations": dilations}


def _check_kernel_shape(node: OnnxNode, kernel: Sequence[int]) -> None:
    declared = node.attributes.get("kernel_shape")
    if declared and tuple(declared) != tuple(kernel):
        raise VerificationFailure(f"kernel_shape is {list(declared)}, the kernel {list(kernel)}")


def onnx_transposed_window(node: OnnxNode, kernel: Sequence[int]) -> dict[str, Any]:
    """The window of an ONNX ConvTranspose and its `output_padding`, auto_pad resolved."""
    n, attributes = len(kernel), node.attributes
    _check_kernel_shape(node, kernel)
    extents = node.shape(0)[2:]
    strides = list(attributes.get("strides") or [1] * n)
    dilations = list(attributes.get("dilations") or [1] * n)
    pads = list(attributes.get("pads") or [0] * 2 * n)
    output_padding = list(attributes.get("output_padding") or [0] * n)
    auto_pad = attributes.get("auto_pad", "NOTSET")
    sizes = list(attributes.get("output_shape") or [])[-n:]
    same = not sizes and auto_pad in ("SAME_UPPER", "SAME_LOWER")
    if same:
        sizes = [e * s for e, s in zip(extents, strides, strict=True)]
    if sizes:
        for i in range(n):
            full = (extents[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1
            total = full + output_padding[i] - sizes[i]
            # An output larger than what the input reaches is padded at its end; by SAME none is.
            output_padding[i] += 0 if same else max(0, -total)
            total = max(0, total)
            small, large = total // 2, total - total // 2
            # The rule of the ONNX standard: only SAME_UPPER puts the odd element at the end.
            upper = auto_pad == "SAME_UPPER"
            pads[i], pads[i + n] = (small, large) if upper else (large, small)
    elif auto_pad == "VALID":
        pads = [0] * 2 * n
    for padding, stride in zip(output_padding, strides, strict=True):
        if padding >= max(stride, 1):  # a stride that makes no sense is the operation's to refuse
            # The convolution that it transposes would make a larger result of such an output.
            raise VerificationFailure(
                f"an output_padding, or an excess of output_shape, of {padding} is not below the "
                f"stride of {stride}"
            )
    return {
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "output_padding": output_padding,
    }


def pads_same(node: TFLiteNode) -> bool:
    """Whether a TFLite operator's padding is SAME; else it is VALID.

    Raises:
        VerificationFailure: it is neither.
    """
    number = int(node.options.Padding())
    if number not in (0, 1):
        raise VerificationFailure(f"there is no padding of number {number}")
    return number == 0


def tflite_window(node: TFLiteNode, kernel: Sequence[int]) -> dict[str, Any]:
    """strides, pads and dilations of a TFLite convolution (NHWC), with SAME and VALID resolved."""
    options = node.options
    strides = [options.StrideH(), options.StrideW()]
    dilations = [options.DilationHFactor(), options.DilationWFactor()]
    same = pads_same(node)
    pads = same_pads(node.shape(0)[1:3], kernel, strides, dilations) if same else [0] * 4
    return {"strides": strides, "pads": pads, "dilations": dilations}
