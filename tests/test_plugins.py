"""Plug-ins: how they are found and loaded, what they may import, and how they fail."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from furiosa_ir import plugins
from furiosa_ir.errors import FuriosaError
from furiosa_ir.plugin_source import find_plugin
from furiosa_ir.plugins import load_plugins, plugin_failure, plugin_frame
from tests.conftest import DIGITS, ROOT

ONNX = DIGITS / "digits_qdq_int8.onnx"

OPERATOR = """
from typing import ClassVar

import numpy as np
from xdsl.irdl import irdl_op_definition

from furiosa_ir.dialects.graph import register
from furiosa_ir.dialects.graph.elementwise import UnaryOp


@register
@irdl_op_definition
class HalfOp(UnaryOp):
    "x / 2."

    name = "graph.half"
    ONNX: ClassVar = ("com.example::Half",)

    def evaluate(self, x):
        return [x * FACTOR]
"""


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is loaded here is forgotten: other tests compile as if it had not been."""
    for name in ("_roots", "_loaded", "_installed"):
        monkeypatch.setattr(plugins, name, {})
    monkeypatch.setattr(plugins, "_untracked", set())
    before = set(sys.modules)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - before:
        if name.startswith("furiosa_plugin_"):
            del sys.modules[name]


def write(folder: Path, **files: str) -> Path:
    """Python files by their names, `__` for a folder; the folder."""
    for name, text in files.items():
        *folders, last = name.split("__")
        path = folder.joinpath(*folders, "__init__.py" if last == "init" else f"{last}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def value_of(plugin: str | Path) -> object:
    """`VALUE` of a plug-in, when it has been loaded."""
    load_plugins([plugin])
    return sys.modules[find_plugin(plugin).module].VALUE


def network(path: Path, operator: str = "Half") -> Path:
    """DequantizeLinear - com.example::Half - QuantizeLinear."""
    scales = [numpy_helper.from_array(np.float32(0.5), "s")]
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["r"]),
        helper.make_node(operator, ["r"], ["q"], domain="com.example", name="the layer"),
        helper.make_node("QuantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    zero = numpy_helper.from_array(np.int8(0), "z")
    values = [helper.make_tensor_value_info(n, TensorProto.INT8, [1, 8]) for n in "xy"]
    between = helper.make_tensor_value_info("q", TensorProto.FLOAT, [1, 8])
    graph = helper.make_graph(
        nodes, "g", values[:1], values[1:], [*scales, zero], value_info=[between]
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def furiosa(*arguments: object, cwd: Path, cache: Path | None = None, tool: str = "furiosa"):
    """The command line in a process of its own."""
    code = f"from furiosa_ir.tools.{tool} import main; main()"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FC_CACHE_ENABLED": "0" if cache is None else "1",
        "FC_CACHE_STORE_URL": str(cache or ""),
    }
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )


# What may be given, and where it is found.


@pytest.mark.parametrize(
    "given",
    ["own.py", "./own.py", "own", "pack", "pack/", "pack.inner", "pack/inner.py", "deep.er.one"],
)
def test_files_folders_and_modules(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(
        tmp_path,
        own="VALUE = 'own'",
        pack__init="VALUE = 'pack'; OF_PACKAGE = 1",
        pack__inner="from . import OF_PACKAGE\nfrom pack import VALUE as V\nVALUE = V + '.inner'",
        deep__er__one="VALUE = 'one'",
    )
    monkeypatch.chdir(tmp_path)
    want = {"own": "own", "pac": "pack", "dee": "one", "./o": "own"}[given[:3]]
    assert value_of(given) == (f"{want}.inner" if "inner" in given else want)


def test_an_installed_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, installed_plugin__init="", installed_plugin__ops="VALUE = __name__")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_plugin("installed_plugin.ops").root is None
    assert "installed_plugin" not in sys.modules  # finding runs nothing
    assert value_of("installed_plugin.ops") == "installed_plugin.ops"
    files = [name for name, _ in find_plugin("installed_plugin.ops").files()]
    assert files == ["", "__init__.py"]
    for name in ("installed_plugin", "installed_plugin.ops"):
        del sys.modules[name]
    sys.path.remove(str(tmp_path))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no.py", "the plug-in does not exist"),
        ("no/such", "the plug-in does not exist"),
        ("no.such.module", "the plug-in does not exist"),
        ("", "the plug-in"),
        ("x\0y", "the plug-in does not exist"),
        ("numpy.nothing_of_it", "the plug-in does not exist"),
        ("empty", "a folder without an __init__.py"),
        ("text.txt", "not a Python file"),
    ],
)
def test_what_is_none(given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FuriosaError, match=message):
        load_plugins([given])


@pytest.mark.parametrize("name", ["my-plug.in.py", "sp ace.py", "1.py", "größe.py", "class.py"])
def test_files_may_be_called_anything(name: str, tmp_path: Path):
    (tmp_path / name).write_text("import beside\nVALUE = beside.A")
    write(tmp_path, beside="A = 1")
    assert value_of(tmp_path / name) == 1


# Neighbours.


def test_neighbours_are_imported_in_every_form(tmp_path: Path):
    folder = write(
        tmp_path,
        own="""
            import tables
            import pack.deep as deep
            import pack.deep
            from tables import A
            from pack import deep as again
            from .tables import A as B
            from . import tables as relative
            def late():
                import later
                return later.A
            VALUE = [tables.A, deep.A, pack.deep.A, A, B, again is deep, relative is tables, late()]
        """,
        tables="from more import A",
        more="A = 1",
        pack__init="",
        pack__deep="from . import beside\nimport tables\nA = beside.A + tables.A",
        pack__beside="A = 1",
        later="A = 3",
    )
    assert value_of(folder / "own.py") == [1, 2, 2, 1, 1, True, True, 3]
    assert not {"tables", "more", "pack", "later"} & set(sys.modules)


def test_neighbours_of_two_folders_are_two(tmp_path: Path):
    for name in "ab":
        write(tmp_path / name, own="import shared\nVALUE = shared.A", shared=f"A = {name!r}")
    assert [value_of(tmp_path / name / "own.py") for name in "aba"] == ["a", "b", "a"]


def test_nothing_that_has_the_name_is_shadowed(tmp_path: Path):
    names = ("json", "numpy", "furiosa_ir", "furiosa", "onnx", "antigravity", "typing", "sys")
    traps = dict.fromkeys(names, "raise RuntimeError('the neighbour')")
    imports = "\n".join(f"import {name}" for name in names if name != "antigravity")
    folder = write(
        tmp_path, own=f"{imports}\nfrom furiosa_ir import errors\nVALUE = numpy.pi", **traps
    )
    assert value_of(folder / "own.py") == np.pi


def test_a_package_s_own_name_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever else has it: another copy that is installed, or the folder that a script lies in."""
    for name in ("mine", "installed"):
        own = "from own.part import A\nimport own.part\nVALUE = (A, own.part.A)"
        write(tmp_path / name, own__init=own, own__part=f"A = {name!r}")
    for found, given in (("installed", "mine"), ("mine", "installed"), ("mine", "mine")):
        monkeypatch.syspath_prepend(str(tmp_path / found))
        assert value_of(tmp_path / given / "own") == (given, given)
        sys.path.remove(str(tmp_path / found))
    assert not any(module.partition(".")[0] == "own" for module in sys.modules)


def test_nobody_else_finds_neighbours(tmp_path: Path):
    folder = write(tmp_path, own="import tables\nVALUE = 1", tables="", ujson="")
    load_plugins([folder / "own.py"])
    for name in ("tables", "own", "ujson", "hiredis_of_nobody"):
        assert not plugins.importlib.util.find_spec(name) or name == "ujson"
        if name != "ujson":
            with pytest.raises(ImportError):
                __import__(name)


def test_no_bytecode_is_read_or_written(tmp_path: Path):
    plugin = write(tmp_path, own="VALUE = 1") / "own.py"
    assert value_of(plugin) == 1
    assert not (tmp_path / "__pycache__").exists()
    state = plugin.stat()
    plugin.write_text("VALUE = 2")
    os.utime(plugin, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert value_of(plugin) == 2  # and what has changed is loaded again


def test_it_is_loaded_once(tmp_path: Path):
    counter = tmp_path / "count"
    text = f"from pathlib import Path\nwith Path({str(counter)!r}).open('a') as f: f.write('x')\n"
    plugin = write(tmp_path, own=text + "import beside", beside="A = 1") / "own.py"
    for _ in range(3):
        load_plugins([plugin, str(plugin)])
    assert counter.read_text() == "x"
    write(tmp_path, beside="A = 2")
    load_plugins([plugin])
    assert counter.read_text() == "xx"


def test_what_is_mended_is_read_again(tmp_path: Path):
    folder = write(tmp_path, own="from beside import A\nVALUE = A", beside="A = 1 / 0")
    with pytest.raises(FuriosaError, match=r"beside.py:1: .*ZeroDivisionError"):
        load_plugins([folder / "own.py"])
    write(folder, beside="A = 7")
    assert value_of(folder / "own.py") == 7


# Failures.


@pytest.mark.parametrize(
    ("own", "beside", "where", "what"),
    [
        ("\n\n1 / 0", "", "own.py:3", "ZeroDivisionError"),
        ("import beside", "\nx = {}['k']", "beside.py:2", "KeyError"),
        ("def f(:", "", "own.py:1", "SyntaxError"),
        ("import beside", "\n\n  x = 1", "beside.py:3", "IndentationError"),
        ("import beside\nbeside.f()", "def f():\n    assert 0", "beside.py:2", "AssertionError"),
        ("import no_such_module", "", "own.py:1", "ModuleNotFoundError"),
        ("import sys\nsys.exit(3)", "", "own.py:2", "SystemExit"),
        ("def f(): f()\nf()", "", "own.py:1", "RecursionError"),
        ("raise MemoryError", "", "own.py:1", "MemoryError"),
        ("import numpy\n\nnumpy.zeros(3).reshape(2)", "", "own.py:3", "ValueError"),
        ("import furiosa_ir.errors as e\nraise e.FuriosaError('mine')", "", "own.py:2", "mine"),
    ],
)
def test_errors_while_loading_name_file_and_line(
    own: str, beside: str, where: str, what: str, tmp_path: Path
):
    folder = write(tmp_path)
    (folder / "own.py").write_text(own)
    (folder / "beside.py").write_text(beside)
    with pytest.raises(FuriosaError) as caught:
        load_plugins([folder / "own.py"])
    assert str(caught.value).startswith(f"{folder / where}: ")
    assert what in str(caught.value)


def test_frames(tmp_path: Path):
    load_plugins([write(tmp_path, own="def f(g):\n    return g()") / "own.py"])
    own = sys.modules[find_plugin(tmp_path / "own.py").module]

    def fails():
        raise ValueError("from below")

    with pytest.raises(ValueError, match="below") as caught:
        own.f(fails)
    # The compiler did not call it: a script of the user's that calls its own plug-in sees to it.
    assert plugin_frame(caught.value.__traceback__) is None
    assert plugin_failure(caught.value) is None


FAILING = """
import builtins, os
from typing import ClassVar
from xdsl.irdl import irdl_op_definition
from furiosa_ir.lowering.constraints import not_8bit
from furiosa_ir.lowering.registry import EXACT, lowers
from furiosa_ir.dialects.graph import register
from furiosa_ir.dialects.graph.elementwise import UnaryOp
from furiosa_ir.ir.passes import Pass

def fail(place):
    if place == os.environ["PLACE"]:
        raise getattr(builtins, os.environ["KIND"])("on purpose")  # line 13

@register
@irdl_op_definition
class HalfOp(UnaryOp):
    name = "graph.half"
    ONNX: ClassVar = ("com.example::Half",)

    @classmethod
    def from_onnx(cls, node):
        fail("from_onnx")
        return super().from_onnx(node)

    def result_shapes(self):
        fail("result_shapes")
        return super().result_shapes()

    def verify_(self):
        fail("verify")
        super().verify_()

    def evaluate(self, x):
        fail("evaluate")
        return [x / 2]

def constraint(op):
    fail("constraint")

@lowers(HalfOp, EXACT, unless=[not_8bit, constraint])
def half(op, emit):
    fail("lowering")
    from furiosa_ir.lowering.exact.elementwise import unary
    return unary(op, emit)

class Own(Pass):
    name = "own"
    def apply(self, ctx, op):
        fail("pass")
"""


def test_errors_while_compiling_name_file_and_line(tmp_path: Path):
    """In every place that the compiler calls a plug-in from, whatever the error."""
    (tmp_path / "own.py").write_text(FAILING)
    network(tmp_path / "net.onnx")
    script = """
        import os
        from furiosa_ir.compiler import compile_source
        from furiosa_ir.errors import FuriosaError
        places = "from_onnx", "result_shapes", "verify", "evaluate", "constraint", "lowering"
        for place in (*places, "pass", "none"):
            for kind in ("KeyError", "ValueError", "RuntimeError", "RecursionError", "OSError"):
                os.environ.update(PLACE=place, KIND=kind)
                passes = "own" if place == "pass" else None
                try:
                    compile_source("net.onnx", plugins=["own.py"], passes=passes)
                    print(place, kind, "is not noticed")
                except FuriosaError as error:
                    print(place, kind, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    *lines, _, _, _, _, _ = done.stdout.splitlines()
    assert len(lines) == 35
    for line in lines:
        _, kind, text = line.split(" ", 2)
        assert text.startswith("own.py:13: "), line
        assert f"the plug-in raises {kind}: " in text, line
    assert done.stdout.count("is not noticed") == 5  # those where nothing fails


# Operators.


def test_operators_registered_after_a_compile_count(tmp_path: Path):
    """A table on the NPU, as without that compile; lowerings of families used to be made once."""
    write(tmp_path, own="from beside import FACTOR\n" + OPERATOR, beside="FACTOR = 0.5")
    script = """
        import sys
        from furiosa_ir.cache.settings import NO_CACHE
        from furiosa_ir.compiler import compile_model
        from furiosa_ir.errors import FuriosaError
        from furiosa_ir.reports.inspect import summary
        late = "late" in sys.argv
        if late:
            compile_model(sys.argv[2], cache=NO_CACHE)
            try:
                compile_model("net.onnx", cache=NO_CACHE)
            except FuriosaError:
                pass
        program = compile_model("net.onnx", cache=NO_CACHE, plugins=["own.py"])
        assert summary(program)["summary"]["host_operators"] == [], summary(program)["summary"]
        sys.stdout.buffer.write(program)
    """
    network(tmp_path / "net.onnx")
    programs = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), when, str(ONNX)],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for when in ("early", "late")
    ]
    assert [p.returncode for p in programs] == [0, 0], programs
    assert programs[0].stdout == programs[1].stdout


def test_the_command_line_takes_it_everywhere(tmp_path: Path):
    write(
        tmp_path,
        pack__init="from . import ops",
        pack__ops="from .beside import FACTOR\n" + OPERATOR,
        pack__beside="FACTOR = 0.5",
    )
    network(tmp_path / "net.onnx")
    np.savez(tmp_path / "in.npz", x=np.arange(-4, 4, dtype=np.int8)[None] * 8)
    cache = tmp_path / "cache"
    for load in ("pack", "pack.ops"):
        made = furiosa(
            "compile", "net.onnx", "-o", "a.enf", "--load", load, cwd=tmp_path, cache=cache
        )
        assert made.returncode == 0, made.stderr
        assert "Operators on the host: none" in made.stderr
    hit = furiosa("compile", "net.onnx", "-o", "a.enf", "--load", "pack", cwd=tmp_path, cache=cache)
    assert "Found in the cache" in hit.stderr
    run = furiosa(
        "run", "net.onnx", "--inputs", "in.npz", "--outputs", "out.npz", "--load", "pack",
        cwd=tmp_path, cache=cache,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs["y"].tolist() == [[-16, -12, -8, -4, 0, 4, 8, 12]]
    write(tmp_path, pack__beside="FACTOR = 0.25")
    changed = furiosa(
        "compile", "net.onnx", "-o", "b.enf", "--load", "pack", cwd=tmp_path, cache=cache
    )
    assert "Found in the cache" not in changed.stderr
    assert (tmp_path / "a.enf").read_bytes() != (tmp_path / "b.enf").read_bytes()
    shown = furiosa("net.onnx", "--load", "pack", "--to", "graph", cwd=tmp_path, tool="opt")
    assert "graph.half" in shown.stdout, shown.stderr
    needed = ("--calibration", "in.npz", "-o", "q.onnx")
    refused = furiosa("quantize", "net.onnx", *needed, "--load", "no.py", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("ERROR: no.py: the plug-in does not exist")


def test_sessions_take_it(tmp_path: Path):
    write(tmp_path, own="FACTOR = 0.5\n" + OPERATOR)
    network(tmp_path / "net.onnx")
    script = """
        import asyncio
        import numpy as np
        import furiosa.runtime
        from furiosa.runtime import session, sync
        x = np.full((1, 8), 8, np.int8)
        given = {"plugins": ["own.py"]}
        with session.create("net.onnx", **given) as s:
            assert s.run(x)[0].numpy().tolist() == [[4] * 8]
        with sync.create_runner("net.onnx", **given) as r:
            assert r.run(x)[0].tolist() == [[4] * 8]
        submit, queue = session.create_async("net.onnx", **given)
        submit.submit(x)
        assert queue.recv()[1][0].numpy().tolist() == [[4] * 8]
        submit.close()
        async def main():
            async with furiosa.runtime.create_runner("net.onnx", **given) as r:
                assert (await r.run(x))[0].tolist() == [[4] * 8]
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FC_CACHE_STORE_URL": str(tmp_path / "c")},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pass_that_fails_is_named_by_both_tools(tmp_path: Path):
    write(
        tmp_path,
        own="""
            from furiosa_ir.ir.passes import Pass
            class Own(Pass):
                name = "own"
                def apply(self, ctx, op):
                    {}["key"]
        """,
    )
    for tool, arguments in (
        ("opt", (ONNX, "--load", "own.py", "-p", "own")),
        ("furiosa", ("compile", ONNX, "--load", "own", "--pass-pipeline", "own")),
    ):
        done = furiosa(*arguments, cwd=tmp_path, tool=tool)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ERROR: own.py:6: the plug-in raises KeyError: 'key', in 'apply'")
        assert "report" not in last
    assert not (tmp_path / "output.enf").exists()


def test_a_script_that_registers_operators_is_not_cached(tmp_path: Path):
    """Nobody knows what its operators depend on: the same network, another meaning."""
    network(tmp_path / "net.onnx")
    programs: list[bytes] = []
    for factor in ("0.5", "0.25"):
        script = f"""
FACTOR = {factor}
{OPERATOR}
import sys
from furiosa_ir.compiler import compile_model
sys.stdout.buffer.write(compile_model("net.onnx"))
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "FC_CACHE_ENABLED": "1",
                "FC_CACHE_STORE_URL": str(tmp_path / "cache"),
            },
        )
        programs.append(done.stdout)
    assert programs[0] != programs[1]
    assert not list((tmp_path / "cache").rglob("*.entry"))


def test_a_lowering_takes_the_place_of_the_compiler_s(tmp_path: Path):
    """Whether the compiler has loaded its own before, or loads them afterwards."""
    write(
        tmp_path,
        own="""
            from furiosa_ir.lowering.registry import EXACT, lowers
            from furiosa_ir.dialects.graph.convolution import ConvOp
            @lowers(ConvOp, EXACT)
            def conv(op, emit):
                raise NotImplementedError
        """,
    )
    script = """
        import sys
        from furiosa_ir.cache.settings import NO_CACHE
        from furiosa_ir.compiler import compile_model
        from furiosa_ir.errors import FuriosaError
        if "late" in sys.argv:
            compile_model(sys.argv[1], cache=NO_CACHE)
        try:
            compile_model(sys.argv[1], cache=NO_CACHE, plugins=["own"])
        except FuriosaError as error:
            print(error)
    """
    for when in ("early", "late"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), str(ONNX), when],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.stdout.startswith("own.py:6: "), (done.stdout, done.stderr)
