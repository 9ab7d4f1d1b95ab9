"""Colours of MLIR text for Pygments, which has none: operations, values, types, comments."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.lexers import LEXERS
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Text

__all__ = ["MlirLexer"]


class MlirLexer(RegexLexer):
    """The form for people and the generic one."""

    name = "MLIR"
    aliases: ClassVar = ["mlir"]
    filenames: ClassVar = ["*.mlir"]
    tokens: ClassVar = {
        "root": [
            (r"//.*?$", Comment.Single),
            (r'"(?:[^"\\\n]|\\.)*"', String),
            (r"[%^][\w$.-]+(?::\d+)?", Name.Variable),
            (r"@[\w$.-]+", Name.Function),
            (r"[#!][\w$.-]+", Name.Decorator),
            (r"\b(?:tensor|memref|vector|tuple|loc|attributes|private|true|false|none)\b", Keyword),
            (r"\b(?:[su]?i\d+|b?f\d+|index)\b", Keyword.Type),
            (r"\b(\w+)(\.)([\w$.]+)", bygroups(Name.Namespace, Operator, Name.Function)),
            (r"-?\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=\b|x)", Number),
            (r"->|[=:,{}()\[\]<>*?+-]", Operator),
            (r"\w+", Text),
            (r"\s+", Text),
            (r".", Text),
        ]
    }


LEXERS["MlirLexer"] = (__name__, "MLIR", ("mlir",), ("*.mlir",), ())
