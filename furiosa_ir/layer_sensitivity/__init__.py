"""How sensitive a network that is quantised already is to the rounding of each of its layers.

`analyse` runs it in real numbers (`real_form`), with one layer rounded and with all but one
(`evaluation`), and says what that does to the outputs, and to the layer's own values (`local`).
"""

from furiosa_ir.layer_sensitivity.analysis import analyse
from furiosa_ir.layer_sensitivity.report import LayerSensitivity, Sensitivity

__all__ = ["LayerSensitivity", "Sensitivity", "analyse"]
