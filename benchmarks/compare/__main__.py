"""The command `python -m benchmarks.compare`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .. import limits
from .bound import least_seconds
from .cells import GROUPS, Cell
from .crew import Effort, Failed, Worker, compare
from .inputs import seeded
from .libraries import CUDA, LIBRARIES, PRODUCTS, select
from .machine import heading
from .results import Row, means, scalings
from .table import scaling_table, table

QUICK = Effort(rounds=1, pause=0, seconds=0, calls=2)
QUICK_LIMIT_SECONDS = 0.001


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description="Time fastlstm beside the other libraries that are installed, and print tables.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="NAME", help="tables to fill")
    add("--cells", default="*", metavar="PATTERN", help='rows whose names match, such as "100, 1, *"')
    add("--threads", type=_positive, nargs="+", default=[1, 2], metavar="N", help="threads of each library")
    columns = [name for name in LIBRARIES if name not in (CUDA, *PRODUCTS.values())]
    add("--libraries", nargs="+", choices=columns, default=columns, metavar="NAME", help="columns")
    add("--device", choices=["cuda"], help="beside PyTorch on a GPU, too: cuDNN, in float32")
    add("--product", choices=PRODUCTS, nargs="+", default=[], help="columns of ours, by what multiplies sums")
    add("--scaling", action="store_true", help="also what more of the threads gain, beside the fewest")
    add("--rounds", type=_positive, default=7, metavar="N", help="rounds in which the libraries take turns")
    add("--quick", action="store_true", help="one round of two calls: shows that it works, nothing more")
    add("--json", type=Path, metavar="FILE", help="write all that was measured to FILE")
    add("--markdown", action="store_true", help="print Markdown, as GitHub shows it")
    return parser


def _limits(threads: Sequence[int], quick: bool) -> tuple[dict[int, limits.Limits], list[str]]:
    """Return the machine's limits by threads, and the lines that tell them or why there are none."""
    try:
        measured = limits.measure(threads, QUICK_LIMIT_SECONDS if quick else limits.SLICE_SECONDS)
    except limits.Unmeasured as error:
        return {}, [str(error)]
    return measured, [str(limit) for limit in measured.values()]


def _rows(
    cells: Sequence[Cell],
    workers: Sequence[Worker],
    effort: Effort,
    limit: limits.Limits | None,
    progress: tqdm,
    errors: list[str],
) -> Iterator[Row]:
    """Yield a row for each cell that all libraries compute alike, and add to the errors for the others."""
    threads = workers[0].threads
    for cell in cells:
        progress.set_description(f"{cell.group} {cell.name}")
        inputs = seeded(cell)
        try:
            results = compare(workers, cell, inputs, effort, progress.update)
        except Failed as error:
            errors.append(f"{cell.group} {cell.name}, threads {threads}: {error}")
            continue
        yield Row(cell, threads, results, least_seconds(cell, inputs, limit) if limit else None)


def _run(
    arguments: argparse.Namespace,
    groups: Sequence[Sequence[Cell]],
    libraries: Sequence[str],
    limits_by_threads: dict[int, limits.Limits],
) -> tuple[list[Row], list[str]]:
    """Return the rows and what failed, and print each table when it is full."""
    effort = QUICK if arguments.quick else Effort(arguments.rounds)
    turns = sum(LIBRARIES[name].can(cell) for cells in groups for cell in cells for name in libraries)
    rows: list[Row] = []
    errors: list[str] = []
    with tqdm(total=turns * effort.rounds * len(arguments.threads), file=sys.stderr) as progress:
        for threads in arguments.threads:
            limit = limits_by_threads.get(threads)
            with ExitStack() as stack:
                workers = [stack.enter_context(Worker(name, threads)) for name in libraries]
                for cells in groups:
                    section = list(_rows(cells, workers, effort, limit, progress, errors))
                    rows += section
                    if section:
                        progress.write(table(section, arguments.markdown) + "\n")
    return rows, errors


def _data(
    rows: Sequence[Row], errors: Sequence[str], measured: Iterable[limits.Limits], lines: Sequence[str]
) -> dict[str, Any]:
    return {
        "heading": lines,
        "limits": [asdict(limit) for limit in measured],
        "rows": [row.as_data() for row in rows],
        "means": means(rows),
        "errors": errors,
    }


def _has_gpu() -> bool:
    if not LIBRARIES[CUDA].installed:
        return False
    import torch  # seconds, so only where it is asked

    return torch.cuda.is_available()


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.device and not _has_gpu():
        parser.error("--device cuda: expected a PyTorch that finds a GPU, got none")
    products = (PRODUCTS[product] for product in arguments.product)
    wanted = [*arguments.libraries, *[CUDA] * (arguments.device == "cuda"), *products]
    present = [name for name in wanted if LIBRARIES[name].installed]
    if not present:
        parser.error("none of the libraries is installed")
    groups = select(arguments.groups, arguments.cells, present)
    if not groups:
        parser.error("there is no such cell that one of these libraries can do")
    absent = [name for name in wanted if name not in present]
    limits_by_threads, told = _limits(arguments.threads, arguments.quick)
    rounds = QUICK.rounds if arguments.quick else arguments.rounds
    lines = [*heading(present, absent), *told, f"rounds: {rounds}; times are the best of them"]
    print(*(f"- {line}" if arguments.markdown else line for line in lines), "", sep="\n", flush=True)
    rows, errors = _run(arguments, groups, present, limits_by_threads)
    if arguments.scaling:
        print(scaling_table(scalings(rows), arguments.markdown))
    if arguments.json:
        data = _data(rows, errors, limits_by_threads.values(), lines)
        arguments.json.write_text(json.dumps(data, indent=1))
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
