"""How a metric's value follows from the samples: what reads the past is made from this.

`value` is arithmetic over the columns of one row of `table`. A counter grows by it with every row
of its series, so its value at a time is its total now less the rows after that time; a gauge has it
at the row's time. Names that `table` has not are columns of the metric's relation as it is now
(a job's allocation, say), and `time_s` is the row's end in Unix seconds. What is unknown makes the
whole unknown, except in `zero(x)`, which is 0 then.

Several rows of a series may have one time: GPUs that jobs share, a job's GPUs on a node. Of a
counter they add up; of a gauge they say the same, unless `weight` names the column by which their
mean is weighted.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["TIME", "History", "evaluate", "names"]

# The end of a row's interval.
TIME = "time_s"

_Floats = npt.NDArray[np.float64]


class History(NamedTuple):
    """A sample table, the value of one of its rows, and what weighs rows of one time."""

    table: str
    value: str
    weight: str | None = None


def names(value: str) -> frozenset[str]:
    """The columns that an expression is made of."""
    tree = ast.parse(value, mode="eval")
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return frozenset(node.id for node in found if node not in called)


def evaluate(value: str, columns: Mapping[str, _Floats]) -> _Floats:
    """An expression over columns in which NaN is unknown, and so is what cannot be divided.

    Raises ValueError for what is not arithmetic, KeyError for a column that is not there.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        result = np.asarray(_evaluate(ast.parse(value, mode="eval").body, columns), np.float64)
    return np.where(np.isfinite(result), result, np.nan)


def _evaluate(node: ast.expr, columns: Mapping[str, _Floats]) -> _Floats:
    match node:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=int(number)):
            return np.float64(number)  # type: ignore[return-value]
        case ast.Call(func=ast.Name(id="zero"), args=[argument], keywords=[]):
            return np.nan_to_num(_evaluate(argument, columns), nan=0.0)
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluate(left, columns), _evaluate(right, columns)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    return a / b
    raise ValueError(f"{ast.unparse(node)} is not arithmetic")
