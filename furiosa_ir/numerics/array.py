"""What annotations call a numpy array."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""An array of any shape and element type."""

Reals: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""An array of float64."""
