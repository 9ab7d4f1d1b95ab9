"""What the package says once, and in one place."""

from __future__ import annotations

import re
from pathlib import Path

import furiosa_ir

PACKAGE = Path(furiosa_ir.__file__).parent


def lines_of(pattern: str) -> list[str]:
    """Lines of the package that a pattern is found in, as "file: line"."""
    return [
        f"{path.relative_to(PACKAGE)}: {line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(pattern, line)
    ]


def test_arrays_have_one_name():
    """An alias of what `furiosa_ir.numerics.array` names, under whatever name, is a second one."""
    any_array = r"(npt\.NDArray\[Any\]|np\.ndarray\[Any, np\.dtype\[Any\]\])"
    reals = r"(npt\.NDArray\[np\.float64\]|np\.ndarray\[Any, np\.dtype\[np\.float64\]\])"
    found = lines_of(any_array) + lines_of(rf"^\w+(: TypeAlias)? = {reals}")
    assert [line.partition(":")[0] for line in found] == ["numerics/array.py"] * 2


def test_element_types_have_one_table():
    """Nothing else lists dtypes beside what another world calls them."""
    keys = r"""^\s*(["']u?int8["']|np\.dtype\(np\.u?int8\)|\w*\.?Tensor(Type|Proto)\.U?INT8): """
    assert lines_of(keys) + lines_of(r"getattr\(ml_dtypes") == [
        "numerics/element_types.py:     return np.dtype(getattr(ml_dtypes, name))"
    ]
