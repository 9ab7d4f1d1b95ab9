"""When two modules are the same: structure, types, attributes, constants and locations."""

from __future__ import annotations

from xdsl.ir import Operation

from furiosa_ir.ir.location import layer_name


def difference(a: Operation, b: Operation, *, locations: bool = True) -> str | None:
    """The first place where two modules differ, in a sentence; None if they are the same.

    Names of values do not count. Constants are compared by content.
    """
    ops = zip(a.walk(), b.walk(), strict=False)
    for x, y in ops:
        where = f"{x.name} of layer '{layer_name(x)}'" if layer_name(x) else x.name
        if x.name != y.name:
            return f"{where} against {y.name}"
        for what, p, q in (
            ("properties", x.properties, y.properties),
            ("attributes", x.attributes, y.attributes),
        ):
            for key in sorted(p.keys() | q.keys()):
                if p.get(key) != q.get(key):
                    return f"{what} '{key}' of {where}: {p.get(key)} against {q.get(key)}"
        if x.result_types != y.result_types:
            return f"result types of {where}"
        if locations and x.location != y.location:
            return f"location of {where}: {x.location} against {y.location}"
        for r, s in zip(x.regions, y.regions, strict=False):
            for c, d in zip(r.blocks, s.blocks, strict=False):
                for e, f in zip(c.args, d.args, strict=False):
                    if locations and e.location != f.location:
                        return f"location of an argument of {where}"
    if not a.is_structurally_equivalent(b):
        return "the modules' structure"
    return None
