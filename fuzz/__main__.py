"""Run the fuzzers, as many at a time as there are cores: `python -m fuzz [SECONDS] [--only TARGET ...]`.

Exits with 1 if any found something; what it found lies in fuzz/found. With --seed the inputs are the same in
each run, so that what fails is the change that is tested.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .drive import TARGETS

FOLDER = Path(__file__).parent
CORPUS, FOUND, BUILD = (FOLDER / name for name in ("corpus", "found", "build"))
PACKAGE = FOLDER.parent / "src" / "fastlstm"
EMBED = BUILD / "embed"

COMPILE = ["clang", "-std=c11", "-O1", "-g1", "-ffp-contract=off", "-fno-sanitize-recover=all"]
# Checks by calls rather than in line: a quarter of the time to compile.
KERNELS = ["-fsanitize=address", "-mllvm", "-asan-instrumentation-with-call-threshold=0"]
FUZZED = ["-fsanitize=fuzzer,address,undefined", "-Wall", "-Wextra", "-Werror", f"-I{PACKAGE / 'capi'}"]

LIMITS = ["-timeout=20", "-rss_limit_mb=3000", "-max_len=40000", "-print_final_stats=1"]
GRACE = 120
"""Seconds for a target to start, and to end by itself."""


def build_embed() -> None:
    """Compile what runs the C header."""
    BUILD.mkdir(exist_ok=True)
    kernels = PACKAGE / "kernels"
    sources = sorted(set(kernels.rglob("*.c")) - {kernels / "workers.c"})
    objects = [BUILD / f"{source.stem}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        commands = (
            [*COMPILE, *KERNELS, "-c", source, "-o", out]
            for source, out in zip(sources, objects, strict=True)
        )
        list(pool.map(partial(subprocess.run, check=True), commands))
    ours = [FOLDER / "embed.c", PACKAGE / "capi" / "fastlstm.c"]
    subprocess.run([*COMPILE, *FUZZED, *ours, *objects, "-o", EMBED, "-lm"], check=True)


def write_seeds(name: str) -> Path:
    """Write what a target begins with to its corpus; return the folder."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    if name in TARGETS:
        for k, content in enumerate(importlib.import_module(f"fuzz.{name}").seeds()):
            (folder / f"seed-{k}").write_bytes(content)
    return folder


def command_of(name: str, seconds: int, seed: int) -> list[str]:
    """Return the command that runs a target for so long."""
    if name == "server":
        return [sys.executable, str(FOLDER / "server.py"), "--seconds", str(seconds), "--seed", str(seed)]
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={FOUND}/{name}-", *LIMITS]
    corpus = str(write_seeds(name))
    if name == "embed":
        return [str(EMBED), *options, "-max_len=256", "-len_control=0", corpus]
    return [sys.executable, "-m", "fuzz.drive", name, *options, corpus]


def run(name: str, seconds: int, seed: int) -> bool:
    """Run a target, and return whether it found nothing; if it did, print what it said."""
    log = FOUND / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_of(name, seconds, seed), cwd=FOLDER.parent, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            status: int | str = process.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            status = f"no end after {seconds + GRACE} seconds"
    lines = log.read_text(errors="replace").splitlines()
    counts = [line for line in lines if line.startswith("stat::number_of_executed_units")]
    print(f"{name}: {status or 'nothing found'} {' '.join(counts)}", flush=True)
    if status:
        print("\n".join(lines[-60:]), flush=True)
    return status == 0


def main() -> None:
    """Do what the command line says."""
    names = [*TARGETS, "embed", "server"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("seconds", type=int, nargs="?", default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 32), help="another each time")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="TARGET", help=f"{names}")
    arguments = parser.parse_args()
    FOUND.mkdir(exist_ok=True)
    print(f"seed {arguments.seed}", flush=True)
    if "embed" in arguments.only:
        build_embed()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        clean = list(pool.map(partial(run, seconds=arguments.seconds, seed=arguments.seed), arguments.only))
    sys.exit(not all(clean))


if __name__ == "__main__":
    main()
