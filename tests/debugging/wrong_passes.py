"""What is to be found of each of `examples/wrong_passes`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wrong:
    """A wrong rewrite.

    Attributes:
        module: its file, without `.py`; its pass is called like it.
        rule: what is wrong.
        after: the pass of the pipeline behind which it stands.
        layer: of the digits network, the first that it makes wrong.
        mobilenet: the same of MobileNetV2.
    """

    module: str
    rule: str
    after: str
    layer: str
    mobilenet: str

    @property
    def name(self) -> str:
        """The pass."""
        return f"wrong-{self.module.replace('_', '-')}"


WRONG = (
    Wrong("zero_point", "zero_point_into_bias", "lower-to-ftensor", "pointwise_conv", "Conv_5"),
    Wrong("multiplier", "narrow_multiplier", "lower-to-ftensor", "stem_conv", "Conv_1"),
    Wrong("rounding", "shift_without_rounding", "fuse-kernels", "stem_conv", "Conv_1"),
    Wrong("pad_value", "pads_of_convolution", "lower-to-ftensor", "stem_conv", "Conv_3"),
    Wrong(
        "transposed_axis",
        "channels_elsewhere",
        "graph-fold-space-to-batch",
        "pointwise_conv",
        "Conv_5",
    ),
    Wrong("dropped_clamp", "wide_summand", "lower-to-ftensor", "residual_sum", "Add_84"),
    Wrong(
        "swapped_operands",
        "small_operand_first",
        "lower-to-ftensor",
        "probabilities",
        "Softmax_101",
    ),
    Wrong(
        "fusion_across_second_use",
        "lookup_of_distance",
        "lower-to-ftensor",
        "probabilities",
        "Softmax_101",
    ),
)
