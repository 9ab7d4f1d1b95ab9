"""IR texts of some KiB that ask for gigabytes, minutes or a deep stack."""

from __future__ import annotations

from collections.abc import Callable


def _module(attribute: str, before: str = "") -> str:
    return f"// ours\n{before}builtin.module attributes {{a = {attribute}}} {{}}\n"


def _main(body: str) -> str:
    return f"builtin.module {{\nfunc.func @main() {{\n{body}}}\n}}\n"


def _aliases(sign: str, first: str, one: Callable[[str], str], count: int) -> str:
    """Aliases, each of the one before."""
    lines = [f"{sign}a0 = {first}\n"]
    lines += [f"{sign}a{i} = {one(f'{sign}a{i - 1}')}\n" for i in range(1, count)]
    return _module(f"{sign}a{count - 1}", "".join(lines))


def _eight(open_: str, close: str) -> Callable[[str], str]:
    return lambda alias: open_ + ", ".join([alias] * 8) + close


REFUSED: dict[str, str] = {
    "splat": _module("dense<1.0> : tensor<400000000xf32>"),
    "splat_of_hexadecimal_digits": _module('dense<"0x00"> : tensor<4000000000xi8>'),
    "splats": _module("[" + ", ".join(["dense<1> : tensor<300000xi64>"] * 2000) + "]"),
    "repeated_element": _module("#graph.blob<i8 [4000000000] (1)>"),
    "repeated_elements": _module("[" + ", ".join(["#graph.blob<i64 [300000] (1)>"] * 2000) + "]"),
    "alias_of_aliases": _aliases("#", '"x"', _eight("[", "]"), 20),
    "dictionary_of_aliases": _aliases("#", '"x"', lambda a: f"{{b = {a}, c = {a}}}", 40),
    "location_of_aliases": _aliases("#", 'loc("x")', _eight("loc(fused[", "])"), 20),
    "type_of_aliases": _aliases("!", "i8", _eight("tuple<", ">"), 20),
    "function_of_aliases": _aliases("!", "i8", lambda a: f"({a}, {a}) -> ({a}, {a})", 20),
    "chain_of_aliases": _aliases("#", '"x"', lambda a: f"[{a}]", 20_000),
    "sum": _module(f"affine_map<(d0) -> ({' + '.join(['d0'] * 50_000)})>"),
    "division": _module(f"affine_map<(d0) -> (d0{' floordiv 2' * 5000})>"),
    "set": _module(f"affine_set<(d0) : ({' + '.join(['d0'] * 500)} >= 0)>"),
    "digits": _module("9" * 5000 + " : i64"),
    "digits_of_an_extent": _module(f"tensor<{'9' * 5000}x2xi8>"),
    "digits_of_a_constant": _module(f"#graph.blob<i64 [{'9' * 5000}] (1)>"),
    "hexadecimal_digits": _module("0x" + "f" * 300_000 + " : i64"),
    "digits_of_a_real": _module("9" * 500_000 + ".0 : f64"),
    "operands": _main(
        f"%x = graph.constant #graph.blob<i8 [] (1)> : tensor<i8>\n"
        f"%y = graph.sum {', '.join(['%x'] * 50_000)} : tensor<2xi8>\nfunc.return\n"
    ),
    "kernels_in_kernels": _main(
        "%x = graph.constant #graph.blob<i8 [] (1)> : tensor<i8>\n"
        + "%y = warboy.vector %x = %x : tensor<i8> {\n" * 5000
    ),
    "properties": _main(
        f"%x = graph.constant #graph.blob<i8 [] (1)> {{a = [{', '.join(['1'] * 20_000)}]}}"
        " : tensor<i8>\nfunc.return\n"
    ),
    "values_used_by_unreachable_blocks": _main(
        "".join(f'^b{i}:\n"func.return"(%v{i}) : (i8) -> ()\n' for i in range(2000))
    ),
}
"""Each is refused in one sentence."""

ACCEPTED: dict[str, str] = {
    "blocks": _main("".join(f"^b{i}:\nfunc.return\n" for i in range(20_000))),
    "comments": "// a\n" * 180_000 + "builtin.module {}\n",
    "comments_inside": "builtin.module {\n" + "//\n \n" * 180_000 + "}\n",
    "splat_of_some": _module("dense<1.5> : tensor<4000000xf64>"),
    "operands_of_some": _main(
        f"%x = graph.constant #graph.blob<i8 [] (1)> : tensor<i8>\n"
        f"%y = graph.sum {', '.join(['%x'] * 20_000)} : tensor<i8>\nfunc.return\n"
    ),
    "layers_of_one_name": _main(
        "".join(
            f'%{i} = graph.constant #graph.blob<i8 [] (1)> : tensor<i8> loc(fused["a", "{i}"])\n'
            for i in range(2000)
        )
        + "func.return\n"
    ),
    "a_long_name": _main(
        '%0 = graph.constant #graph.blob<i8 [] (1)> : tensor<i8> loc("'
        + "_QuantizeLinear" * 50_000
        + '!")\nfunc.return\n'
    ),
    "aliases_of_some": _aliases("#", '"x"', _eight("[", "]"), 6),
}
"""Each is read, large as it is."""
