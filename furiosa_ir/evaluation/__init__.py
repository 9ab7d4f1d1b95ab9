"""How good a compiled network is on a validation set: docs/evaluate.md.

`evaluate` reads samples one by one (`samples`, `columns`, `labels`), has workers run them
(`worker`, `furiosa_ir.workers`), and makes of what they answer an `Evaluation`: where the label
stands among the scores (`scores`), or what somebody's Python says (`metric`). What is done is kept
in a file until all of it is (`partial`).
"""

from furiosa_ir.evaluation.evaluating import Settings, evaluate
from furiosa_ir.evaluation.report import Evaluation, Progress

__all__ = ["Evaluation", "Progress", "Settings", "evaluate"]
