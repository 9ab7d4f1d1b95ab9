"""Mutations of MLIR text: its tokens and lines, not its characters."""

from __future__ import annotations

import random
import re

from tests.fuzz.values import integer

_TOKEN = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|[%@#!^][\w.$-]+|-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|x(?=\d)|[\w.$]+|->|\s+|.',
    re.DOTALL,
)
_NUMBER = re.compile(r"-?\d+")
_MOST_DIGITS = 1000
"""Python refuses to make a number of more than 4300."""
_OPENING, _CLOSING = "([{<", ")]}>"


def mutate_text(text: str, rng: random.Random) -> str:
    """The text after one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice((_tokens, _tokens, _tokens, _lines))(text, rng)
    return text


def _lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[i]
        case 1:
            lines.insert(j, lines[i])
        case 2:
            lines[i], lines[j] = lines[j], lines[i]
        case _:
            lines.insert(j, lines.pop(i))
    return "\n".join(lines)


def _tokens(text: str, rng: random.Random) -> str:
    tokens = _TOKEN.findall(text)
    solid = [i for i, token in enumerate(tokens) if not token.isspace()]
    if not solid:
        return text
    i, j = rng.choice(solid), rng.choice(solid)
    match rng.randrange(16):
        case 0:
            del tokens[i]
        case 1:
            tokens.insert(i, tokens[j])
        case 2:
            tokens[i], tokens[j] = tokens[j], tokens[i]
        case 3:
            _nest(tokens, i, rng)
        case 4:
            first, last = sorted((i, j))
            copied = tokens[first : min(last, first + 40) + 1]
            tokens[i:i] = copied
        case 5 | 6 | 7:
            alike = [k for k in solid if tokens[k][0] == tokens[i][0]]
            tokens[i] = tokens[rng.choice(alike)]
        case 8 | 9 | 10:
            _change_number(tokens, solid, rng)
        case _:
            _change_everywhere(tokens, solid, rng)
    return "".join(tokens)


def _is_number(token: str) -> bool:
    return len(token) < _MOST_DIGITS and _NUMBER.fullmatch(token) is not None


def _change_number(tokens: list[str], solid: list[int], rng: random.Random) -> None:
    numbers = [k for k in solid if _is_number(tokens[k])]
    if numbers:
        i = rng.choice(numbers)
        tokens[i] = str(integer(int(tokens[i]), rng))


def _change_everywhere(tokens: list[str], solid: list[int], rng: random.Random) -> None:
    """Changes all tokens that are alike: an extent in all types, a name at all its uses."""
    old = tokens[rng.choice(solid)]
    if _is_number(old):
        new = str(integer(int(old), rng))
    else:
        new = tokens[rng.choice([k for k in solid if tokens[k][0] == old[0]])]
    for k in solid:
        if tokens[k] == old:
            tokens[k] = new


def _nest(tokens: list[str], i: int, rng: random.Random) -> None:
    """Puts a token into brackets, once or very often."""
    kind, depth = rng.randrange(4), rng.choice((1, 1, 2, 50, 400))
    tokens[i] = _OPENING[kind] * depth + tokens[i] + _CLOSING[kind] * depth
