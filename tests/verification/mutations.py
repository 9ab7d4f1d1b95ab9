"""How many single changes of a program `--verify` finds; run as a module it prints the score.

A network is compiled once for each change: of the IR after `lower-to-ftensor` ("ftensor"), of the
kernels ("warboy"), or of the finished program's records ("enf"). Whether the change can be seen on
the inputs at all is decided without `--verify`: both programs are simulated, and what each of their
commands writes, and the outputs, are compared. Of those that can be seen, all must be found.

    python -m tests.verification.mutations [-n MUTATIONS] [--only KIND] [NETWORK ...]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override
from xdsl.dialects.builtin import ModuleOp

from furiosa_ir.backends.warboy.enf.reader import read_program
from furiosa_ir.backends.warboy.enf.records import Copy, Load, SramFlat, SramTile, Store
from furiosa_ir.backends.warboy.machine import Machine
from furiosa_ir.backends.warboy.simulator.memory import Memory, TileAccess, slice_stride
from furiosa_ir.backends.warboy.simulator.simulator import Simulator
from furiosa_ir.comparison import Coverage, Disagreement
from furiosa_ir.compiler import compile_source
from furiosa_ir.errors import FuriosaError
from furiosa_ir.ir.passes import Pass
from furiosa_ir.ir.pipeline import Instrumentation
from furiosa_ir.program import HostSegment, Program
from furiosa_ir.runtime.engines import host_engine
from furiosa_ir.verification.inputs import Feeds, drawn_inputs, network_inputs
from furiosa_ir.verification.reference import ReferenceValues
from furiosa_ir.verification.trace import CompileTrace
from furiosa_ir.verification.verify import level_check, reference_of
from tests.corpus.agreement import path_of
from tests.verification import enf_mutations, ir_mutations

LEVELS = ("ftensor", "warboy", "enf")
NETWORKS = (
    "kws_dscnn_int8",
    "ic_resnet8_int8",
    "mbv1_025_128_qat_u8",
    "kws_dscnn_qdq_i8",
    "ic_resnet8_qdq_i8",
    "ultraface_rfb320_qdq_i8",
)
_AFTER = {"ftensor": "lower-to-ftensor", "warboy": "fuse-kernels"}


@dataclass
class Mutate(Instrumentation):
    """Changes one place of the module after a pass.

    Attributes:
        after: the pass's name.
        rng: which place, and how.
        only: the kind of change; "": any.
        kind: what was changed.
    """

    after: str
    rng: np.random.Generator
    only: str = ""
    kind: str = ""
    what: str = ""

    @override
    def after_pass(self, what: Pass, module: ModuleOp, seconds: float) -> None:
        if what.name == self.after:
            sites = ir_mutations.sites(module)
            sites = [s for s in sites if self.only in ("", s.kind)]
            if not sites:
                return
            site = _drawn(sites, self.rng)
            self.kind, self.what = site.kind, site.what
            site.change(self.rng)


def _drawn(sites: Sequence[Any], rng: np.random.Generator) -> Any:
    """A site: each kind is as likely as another, however many sites it has."""
    kinds = sorted({s.kind for s in sites})
    kind = kinds[int(rng.integers(len(kinds)))]
    chosen = [s for s in sites if s.kind == kind]
    return chosen[int(rng.integers(len(chosen)))]


Written = list[list[bytes]]
"""Of each segment what its commands wrote, in order."""


def simulate(program: Program, feed: Feeds) -> Written:
    """What every command writes on an input, and the outputs; parameters' loads left out."""
    simulator = Simulator(program)
    machine = Machine.from_parameters(program.machine)
    stride = slice_stride(machine.slice_bytes)
    values: dict[int, Any] = dict(zip(program.inputs, feed.values(), strict=True))
    written: Written = []
    for index, segment in enumerate(program.segments):
        seen: list[bytes] = []
        if isinstance(segment, HostSegment):
            results = host_engine(segment).run([values[t] for t in segment.inputs])
            values.update(zip(segment.outputs, results, strict=True))
            seen = [np.asarray(r).tobytes() for r in results]
        else:
            commands = segment.commands

            def watch(
                number: int, memory: Memory, seen: list[bytes] = seen, commands: Any = commands
            ) -> None:
                command = commands[number]
                moved = isinstance(command, Load | Store | Copy)
                target = command.target if moved else command.result
                if isinstance(target, SramFlat):
                    return
                tile = isinstance(target, SramTile)
                array = TileAccess(target, stride).read(memory) if tile else memory.dram(target)
                seen.append(array.tobytes())

            needed = {b.tensor: values[b.tensor] for b in segment.inputs}
            outputs = simulator.trace_segment(index, needed, watch)
            values.update(outputs)
            seen += [outputs[b.tensor].tobytes() for b in segment.outputs]
        written.append(seen)
    return written


@dataclass
class Score:
    """Counts by (level, kind).

    Attributes:
        made: changes that were made and compiled.
        seen: of these, that change something on the inputs.
        found: of those, that `--verify` finds.
        missed: what the others were.
    """

    made: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    seen: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    found: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    missed: list[str] = field(default_factory=list[str])

    def add(self, other: Score) -> None:
        """Adds another's counts."""
        self.made += other.made
        self.seen += other.seen
        self.found += other.found
        self.missed += other.missed

    def lines(self) -> list[str]:
        """A table."""
        lines = [f"{'level':8} {'what was changed':16} {'made':>5} {'seen':>5} {'found':>5}"]
        for level, kind in sorted(self.made):
            key = level, kind
            counts = f"{self.made[key]:5} {self.seen[key]:5} {self.found[key]:5}"
            lines.append(f"{level:8} {kind:16} {counts}")
        totals = [sum(c.values()) for c in (self.made, self.seen, self.found)]
        share = 100 * totals[2] / totals[1] if totals[1] else 100.0
        lines.append(
            f"{'all':25} {totals[0]:5} {totals[1]:5} {totals[2]:5}   {share:.4g} % of those seen"
        )
        return lines


class Subject:
    """A network, its inputs, and what is right for them.

    Args:
        path: the network.
        count: how many of the drawn inputs are used.
    """

    def __init__(self, path: Path, count: int = 3) -> None:
        self.path, self.data = path, path.read_bytes()
        trace, self.program = self.compile()
        assert trace.source is not None
        self.feeds = drawn_inputs(network_inputs(trace.source))[:count]
        reference = reference_of(self.data, trace)
        self.wanted: list[ReferenceValues] = [reference.values(feed) for feed in self.feeds]
        self.written = [simulate(self.program, feed) for feed in self.feeds]
        if self.finds(trace, self.program):
            raise AssertionError(f"{path}: the network itself does not agree")

    def compile(self, *watch: Instrumentation) -> tuple[CompileTrace, Program]:
        """Compiles the network as it is, or as `watch` changes it."""
        trace = CompileTrace()
        with trace.recording():
            # The change comes first of what watches: it is in every record of the compile.
            result = compile_source(self.path, instrumentation=(trace, *watch))
        trace.finish(result.module)
        assert result.enf is not None
        return trace, read_program(result.enf)

    def is_seen(self, program: Program) -> bool:
        """Whether a changed program writes anything else than the right one."""
        for feed, right in zip(self.feeds, self.written, strict=True):
            try:
                written = simulate(program, feed)
            except FuriosaError:
                return True
            if written != right:
                return True
        return False

    def finds(self, trace: CompileTrace, program: Program) -> str:
        """What `--verify` says of a program; "" if nothing is wrong with it."""
        try:
            level = level_check(trace, program)
            for feed, want in zip(self.feeds, self.wanted, strict=True):
                level.compare(feed, want.values, Coverage())
        except Disagreement as error:
            return str(error)
        except FuriosaError as error:  # the machine refuses the program
            return str(error)
        return ""

    def mutate(self, level: str, seed: int, score: Score, only: str = "") -> None:
        """Makes one change, of any kind or of `only` one, and counts it."""
        rng = np.random.default_rng(seed)
        if level == "enf":
            trace, program = self.compile()
            sites = [s for s in enf_mutations.sites(program) if only in ("", s.kind)]
            if not sites:
                return
            site = _drawn(sites, rng)
            kind, what = site.kind, site.what
            program = site.change(rng)
        else:
            change = Mutate(_AFTER[level], rng, only)
            try:
                trace, program = self.compile(change)
            except FuriosaError:
                return  # no program comes of it
            kind, what = change.kind, change.what
            if not kind:
                return  # there is nothing of the kind
        key = level, kind
        score.made[key] += 1
        if not self.is_seen(program):
            return
        score.seen[key] += 1
        if self.finds(trace, program):
            score.found[key] += 1
        else:
            score.missed.append(f"{self.path.name}: {level}, {kind} of {what}, seed {seed}")


def main() -> None:
    """Prints the score of the networks named, or of six; exit code 1 if anything was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("-n", type=int, default=60, help="changes for each network and level")
    parser.add_argument("--only", default="", help="changes of this kind: 'table entry'")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    total = Score()
    for name in arguments.networks:
        started = time.perf_counter()
        path = Path(name)
        subject = Subject(path if path.exists() else path_of(name))
        score = Score()
        for level in LEVELS:
            for i in range(arguments.n):
                subject.mutate(level, arguments.seed + i, score, arguments.only)
        total.add(score)
        counts = [sum(c.values()) for c in (score.made, score.seen, score.found)]
        seconds = time.perf_counter() - started
        print(
            f"{name:28} {counts[0]:4} made, {counts[1]:4} seen, {counts[2]:4} found, "
            f"{seconds:.0f} s",
            flush=True,
        )
        for line in score.missed:
            print("  missed:", line, flush=True)
    print("\n".join(["", *total.lines()]))
    if total.missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
