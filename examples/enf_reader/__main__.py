"""list FILE, run FILE IN.npz OUT.npz, or vectors [FOLDER] (docs/enf.md, section 16)."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from examples.enf_reader.executor import Session
from examples.enf_reader.reader import PAGE, Refused


def _text(x: object) -> str:
    if isinstance(x, SimpleNamespace):
        return f"({' '.join(f'{name}={_text(value)}' for name, value in vars(x).items())})"
    return f"[{' '.join(map(_text, x))}]" if isinstance(x, list | tuple) else str(x)


def listing(p: SimpleNamespace) -> list[str]:
    """The lines of a program, section 14."""
    rows = [(s.name, s.commands if s.on_npu else s.operators) for s in p.segments]
    return [f"{name} {number} {_text(c)}" for name, found in rows for number, c in enumerate(found)]


def agrees(base: Path, runs: list[dict[str, str]]) -> bool:
    """Whether a test vector is listed and runs as it says."""
    session, arrays = Session(base.with_suffix(".enf").read_bytes()), np.load(f"{base}.npz")
    same = listing(session.program) == base.with_suffix(".lst").read_text().splitlines()
    for number, run in enumerate(runs):
        inputs = [arrays[f"run{number}_input{j}"] for j in range(len(session.program.inputs))]
        try:
            found, error = session.run(inputs), ""
        except Refused as failure:
            found, error = [], str(failure)
        wanted = [arrays[f"run{number}_output{j}"] for j in range(len(found))]
        same &= error == run.get("error", "") and all(map(np.array_equal, found, wanted))
    return same


if __name__ == "__main__":
    command, *files = sys.argv[1:]
    if command == "vectors":
        folder = Path(*files or [PAGE.with_name("enf-vectors")])
        vectors = json.loads((folder / "manifest.json").read_text())
        bad = [v["name"] for v in vectors if not agrees(folder / v["name"], v["runs"])]
        print(f"{len(vectors) - len(bad)} of {len(vectors)} vectors agree", *bad)
        sys.exit(bool(bad))
    try:
        session = Session(Path(files[0]).read_bytes())
    except Refused as rule:
        sys.exit(f"{files[0]}: it breaks rule {rule} of docs/enf.md, section 12")
    if command == "list":
        print(*listing(session.program), sep="\n")
    else:
        arrays = np.load(files[1])
        outputs = session.run([arrays[f"input{j}"] for j in range(len(arrays))])
        np.savez(files[2], **{f"output{j}": x for j, x in enumerate(outputs)})
