"""Backends: what a machine is to the rest of the compiler, as a value, and the register of them.

Everything outside of this package asks the register and knows no machine by name. Importing it is
cheap: the parts of a backend are imported when they are first used (`lazily`), so that a session
loads no compiler and a look into the cache not even numpy. docs/adding-a-backend.md adds one.

    BACKEND = Backend(
        name="toy",
        module=__name__,
        targets={"toy": "one multiply-accumulate a cycle"},
        ...
    )
    register(BACKEND)

Three ways lead into the register: those that come with the project, the entry points
`furiosa_ir.backends` of installed distributions (`installed.py`), and plug-ins (`--load`) that call
`register`.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from furiosa_ir.backends.answers import checked, imported
from furiosa_ir.errors import CompilationFailure, FuriosaError
from furiosa_ir.input_files import open_input
from furiosa_ir.ir import extensions

if TYPE_CHECKING:
    import os

    from xdsl.dialects.builtin import ModuleOp
    from xdsl.dialects.func import FuncOp

    from furiosa_ir.backends.verification import Verification
    from furiosa_ir.costs import Costs
    from furiosa_ir.dialects.graph.base import GraphOp
    from furiosa_ir.execution import Execution
    from furiosa_ir.findings import Finding
    from furiosa_ir.hints import Hint
    from furiosa_ir.ir.pipeline import Pipeline
    from furiosa_ir.numerics.array import Array
    from furiosa_ir.plugin_source import Plugin
    from furiosa_ir.program import Program, Provenance
    from furiosa_ir.program_head import Head

_BUILT_IN = (
    "furiosa_ir.backends.warboy:BACKEND",
    "furiosa_ir.backends.mlir:BACKEND",
    "furiosa_ir.backends.mlir.tosa:BACKEND",
)
"""The first one is the default."""

_LEAST_MAGIC, _MAGIC = 3, 16
"""Bytes that a magic has at least, and at most."""

_PROGRAM = "furiosa_ir.program:Program"

_BYTES = (bytes, bytearray, memoryview)

_BLANK = 0x20
"""What begins with less is how ONNX (8) and TFLite files (an offset) begin."""

CHECKED = 10
"""Where the bytes of a container begin that the cache has a CRC-32 of (`Container.head`)."""


class Executor(Protocol):
    """Runs the device segments of one program; any thread may call it."""

    def run_segment(self, index: int, inputs: Mapping[int, Array]) -> Mapping[int, Array]:
        """Runs a device segment.

        Args:
            index: which of the program's segments.
            inputs: by tensor index; shapes and dtypes as the tensors declare.

        Returns:
            The segment's outputs by tensor index, as new arrays.

        Raises:
            ExecutionFailure: the program breaks a rule of the machine.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Container:
    """The file format of a backend's programs.

    Attributes:
        name: what options and file names call it: "enf".
        title: what sentences call it: "ENF".
        magic: the bytes that a file begins with.
        read: the program of a file, given its path or content, checked before anything is used;
            raises FormatFailure.
        write: writes a program to an empty file that can be sought in; the same program gives the
            same bytes.
        head: target and source of a whole file without a look at the rest, for a hit in the cache;
            beside the content it is given the CRC-32 of the bytes from `CHECKED` on. Raises
            FormatFailure. It imports neither numpy nor xDSL.
        disassemble: a program as lines of text.
        foreign: what can be said of a file with this magic that is no program of ours: its header
            as JSON has it, and as lines for people; None if nothing can.
        reference: the tables of the page under docs/ that describes the format (and has its name),
            from its declarations: name -> lines of Markdown; without, there is no such page.
    """

    name: str
    title: str
    magic: bytes
    read: Callable[[str | os.PathLike[str] | bytes | memoryview], Program]
    write: Callable[[Program, BinaryIO], None]
    head: Callable[[bytes | memoryview, int], Head]
    disassemble: Callable[[Program], Iterable[str]]
    foreign: Callable[[bytes], tuple[dict[str, Any], list[str]] | None] | None = None
    reference: Callable[[], Mapping[str, Sequence[str]]] | None = None

    def __post_init__(self) -> None:
        for part, kind in (("read", _PROGRAM), ("head", "furiosa_ir.program_head:Head")):
            whose = f"the reader of {self.title} files"
            object.__setattr__(self, part, checked(getattr(self, part), kind, whose))


@dataclass(frozen=True, eq=False, repr=False)
class Backend:
    """A family of machines that networks are compiled for.

    Attributes:
        name: unique: "warboy".
        title: what sentences call it: "Warboy".
        module: the module that declares it (`__name__`): whose code the programs depend on.
        targets: target -> what it is, in half a sentence.
        default_target: what networks are compiled for where this backend is named alone.
        levels: the levels of IR in order of compilation, which are the phases of `pipeline`.
        container: the format of its programs.
        pipeline: the passes from an imported network to what `assemble` takes.
        refusal: why an operation of the graph level cannot run on the device, given the numerics of
            its module as well; None if it can.
        assemble: the program of a module that has been through the pipeline, checked. Raises
            FuriosaError.
        executor: what runs the device segments of a program. Raises FuriosaError for one that
            breaks a rule of the machine.
        costs: what a program costs.
        dialects: dialect -> "module:object", of its own levels.
        pass_packages: packages whose modules declare its passes.
        stages: the passes that a program cannot do without behind `lower-to-ftensor`, in order.
        missing: which of `stages` a segment's function lacks: (pass, where that can be seen,
            layer); None if it is complete.
        devices: (regular expression, target) in order: what `device` of a session may be, beside
            the targets' names.
        verification: how `--verify` looks into device segments (`verification.py`); without, it
            compares what they make with what the operations do in front of the first of `stages`.
        device_hint: how to specify a device, for who has got it wrong.
        search: the pass that looks for a better schedule (its options are `seconds` and `seed`),
            and the pass in front of which it runs (`schedule_search.py`); None: there is none.
        execution: when a program does what, and where its data lies, for reports; without, they
            have what `costs` says.
        diagnosis: what there is to say of its installation, for `furiosa doctor`.
        exports: forms of a program for other tools, by the suffix of the file that is written:
            ".mlir" -> writes a program to that file and to `constants_path` of it, whole or not at
            all. Raises OSError.
    """

    name: str
    title: str
    module: str
    targets: Mapping[str, str]
    default_target: str
    levels: tuple[str, ...]
    container: Container
    pipeline: Callable[[], Pipeline]
    refusal: Callable[[GraphOp, str], Hint | None]
    assemble: Callable[[ModuleOp, Provenance], Program]
    executor: Callable[[Program], Executor]
    costs: Callable[[Program], Costs]
    dialects: Mapping[str, str] = field(default_factory=dict[str, str])
    pass_packages: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    missing: Callable[[FuncOp], tuple[str, str, str | None] | None] | None = None
    devices: tuple[tuple[str, str], ...] = ()
    device_hint: str = ""
    verification: Callable[[], Verification] | None = None
    search: tuple[str, str] | None = None
    execution: Callable[[Program], Execution] | None = None
    diagnosis: Callable[[], Iterable[Finding]] | None = None
    exports: Mapping[str, Callable[[Program, Path], None]] = field(
        default_factory=dict[str, "Callable[[Program, Path], None]"]
    )

    def __post_init__(self) -> None:
        part = self._part
        own = {
            "pipeline": part("pipeline", "furiosa_ir.ir.pipeline:Pipeline", self._pipeline_fault),
            "assemble": part("assemble", _PROGRAM, self._program_fault),
            "costs": part("costs", "furiosa_ir.costs:Costs"),
        }
        for name, checked_part in own.items():
            object.__setattr__(self, name, checked_part)
        if self.execution is not None:
            whole = part("execution", "furiosa_ir.execution:Execution")
            object.__setattr__(self, "execution", whole)

    def _part(
        self, name: str, kind: str, fault: Callable[[Any], str | None] | None = None
    ) -> Callable[..., Any]:
        return checked(getattr(self, name), kind, f"'{name}' of the backend '{self.name}'", fault)

    def _pipeline_fault(self, pipeline: Pipeline) -> str | None:
        phases = tuple(phase.name for phase in pipeline.phases)
        named = f"its phases are {', '.join(phases)}, the levels {', '.join(self.levels)}"
        return None if phases == self.levels else named

    def _program_fault(self, program: Program) -> str | None:
        is_mine = program.target in self.targets
        return None if is_mine else f"it is for '{program.target}', none of its targets"

    @property
    def stops(self) -> tuple[str, ...]:
        """Where a compile can end, in order: the levels of IR, then the program."""
        return (*self.levels, self.container.name)

    def require_stop(self, name: str | None) -> None:
        """Refuses a place to end that compiles for this backend do not come to.

        Raises:
            CompilationFailure: it is none of `stops`.
        """
        if name is not None and name not in self.stops:
            raise CompilationFailure(
                f"there is no level of IR called '{name}'",
                hint=f"choose of {', '.join(self.stops)}",
            )


def lazily(target: str) -> Callable[..., Any]:
    """A function that is imported when it is first called.

    Args:
        target: "module:function". Calling it raises FuriosaError if there is none.
    """
    found: list[Callable[..., Any]] = []

    def call(*arguments: Any, **options: Any) -> Any:
        if not found:
            found.append(imported(target))
        return found[0](*arguments, **options)

    call.__qualname__ = call.__name__ = target
    return call


_registered: dict[str, Backend] = {}


def register(backend: Backend) -> Backend:
    """Makes a backend known to everything; a plug-in that is loaded again does so again.

    Raises:
        FuriosaError: another one has its name, or one of its targets, or its files begin alike; or
            it contradicts itself.
    """
    if not isinstance(backend, Backend):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FuriosaError(f"a backend cannot be of type {type(backend).__name__}")
    for other in _registered.values():
        if other.name == backend.name and other.module == backend.module:
            continue
        same = "name" if other.name == backend.name else _conflict(backend, other)
        if same:
            raise FuriosaError(
                f"the backends of {other.module} and {backend.module} have the same {same}",
                hint="use one of them: what is installed needs no --load",
            )
    fault = _fault(backend)
    if fault is not None:
        raise FuriosaError(f"the backend '{backend.name}' cannot be used: {fault}")
    if backend.module.partition(".")[0] != __name__.partition(".")[0]:
        from furiosa_ir.plugins import note_registration  # noqa: PLC0415  # few processes need it

        note_registration(backend.module)
    _registered[backend.name] = backend
    for name, target in backend.dialects.items():
        extensions.add_dialect(name, target)
    for package in backend.pass_packages:
        extensions.add_pass_package(package)
    return backend


def _fault(backend: Backend) -> str | None:
    """What is wrong with a backend whatever others there are, as a clause; None if nothing is."""
    container, magic = backend.container, backend.container.magic
    if not backend.levels:
        return "it has no level of IR"
    if container.name in backend.levels:
        return f"its programs and a level of IR are both called '{container.name}'"
    if backend.default_target not in backend.targets:
        return f"its default target '{backend.default_target}' is none of its targets"
    stray = next((d for d, target in backend.devices if target not in backend.targets), None)
    if stray is not None:
        return f"its device '{stray}' leads to none of its targets"
    if not _LEAST_MAGIC <= len(magic) <= _MAGIC:
        return f"a magic has {_LEAST_MAGIC} to {_MAGIC} bytes, and this one {len(magic)}"
    return "its files begin as networks may" if magic[0] < _BLANK else None


def _conflict(one: Backend, other: Backend) -> str | None:
    # Without regard to case, as devices are asked for.
    if {name.lower() for name in one.targets} & {name.lower() for name in other.targets}:
        return "target"
    a, b = one.container.magic, other.container.magic
    if a.startswith(b) or b.startswith(a) or one.container.name == other.container.name:
        return "file format"
    return "dialect" if one.dialects.keys() & other.dialects.keys() else None


def backends() -> tuple[Backend, ...]:
    """The backends that are registered, the default one first."""
    return tuple(_registered.values())


def default_backend() -> Backend:
    """What networks are compiled for where nobody says anything else."""
    return next(iter(_registered.values()))


def targets() -> dict[str, str]:
    """Every target, with what it is."""
    return {name: text for b in backends() for name, text in b.targets.items()}


def backend_for(target: str, plugins: Sequence[Plugin] = ()) -> Backend:
    """The backend of a target.

    Args:
        target: one of `targets`.
        plugins: code that may declare it, which is loaded if nobody else knows it.

    Raises:
        CompilationFailure: there is no such target.
    """
    backend = find(lambda backend: target in backend.targets, plugins)
    if backend is None:
        raise CompilationFailure(
            f"there is no target '{target}'",
            hint=f"choose one of {', '.join(targets())}; that of a plug-in needs --load",
        )
    return backend


def backend_of_content(
    head: bytes | memoryview, *, further: bool = False, plugins: Sequence[Plugin] = ()
) -> Backend | None:
    """The backend whose programs begin like this; None if none's do.

    Args:
        head: the file's beginning, or all of it.
        further: whether to look for backends that are not registered yet.
        plugins: code that may declare it; only with `further`.
    """
    start = bytes(head[:_MAGIC])
    known = (b for b in backends() if start.startswith(b.container.magic))
    found = next(known, None)
    if found is None and further:
        return find(lambda backend: start.startswith(backend.container.magic), plugins)
    return found


def find(wanted: Callable[[Backend], bool], plugins: Sequence[Plugin] = ()) -> Backend | None:
    """The first backend that is wanted: registered, else installed, else a plug-in's.

    Args:
        wanted: whether it is this one.
        plugins: code that may declare it.

    Raises:
        FuriosaError: a plug-in does not load.
    """
    found = next(filter(wanted, backends()), None)
    if found is None:
        look_for_installed()
        found = next(filter(wanted, backends()), None)
    if found is None and plugins:
        from furiosa_ir.plugins import load_plugins  # noqa: PLC0415

        load_plugins(plugins)
        found = next(filter(wanted, backends()), None)
    return found


def look_for_installed() -> bool:
    """Loads what is installed beside us, for whoever meets names that may be of that.

    Returns:
        Whether there is anything.
    """
    from furiosa_ir.backends.installed import load_installed  # noqa: PLC0415  # few need it

    return load_installed(register)


def read_program(
    source: str | os.PathLike[str] | bytes | memoryview, plugins: Sequence[Plugin] = ()
) -> Program:
    """The program of a file.

    Args:
        source: its path or its content.
        plugins: code that may declare its backend, which is loaded if nobody else has its format.

    Raises:
        FormatFailure: it is no program, or damaged.
    """
    backend = backend_of_content(_head(source), further=True, plugins=plugins)
    try:
        return (backend or default_backend()).container.read(source)  # which says what is wrong
    except FuriosaError as error:
        name = None if isinstance(source, _BYTES) else str(source)
        raise error.at(file=name) from error.__cause__


def write_program(program: Program, file: BinaryIO) -> None:
    """Writes a program's file.

    Args:
        program: of any backend.
        file: empty, can be sought in and read.

    Raises:
        FuriosaError: what its backend writes is no file of its format.
    """
    container = backend_for(program.target).container
    container.write(program, file)
    file.seek(0)
    if file.read(len(container.magic)) != container.magic:
        raise FuriosaError(
            f"what writes {container.title} files begins them otherwise than their magic says",
            hint=f"see {getattr(container.write, '__qualname__', container.write)}",
        )


def program_bytes(program: Program) -> bytes:
    """The content of a program's file, as `write_program` writes it.

    Raises:
        FuriosaError: what its backend writes is no file of its format.
    """
    file = io.BytesIO()
    write_program(program, file)
    return file.getvalue()


def _head(source: str | os.PathLike[str] | bytes | memoryview) -> bytes:
    if isinstance(source, _BYTES):
        return bytes(source[:_MAGIC])
    try:
        with open_input(Path(source)) as file:
            return file.read(_MAGIC)
    except (OSError, ValueError):  # the reader says so
        return b""


for _target in _BUILT_IN:
    _module, _, _name = _target.partition(":")
    register(getattr(importlib.import_module(_module), _name))
