"""A program by itself: HDF5 comes in, and its arrays and names go out, as npz.

The HDF5 library has faults with damaged files: it may crash, or not come to an end. Here it can:
`hdf5.py` runs this program, and bounds its memory and time.

Only what lies in the file itself is read: no link, virtual array or external storage leads to another file.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import numpy as np

MOST_ENTRIES = 100_000
DEEPEST = 64
LONGEST_NAME = 1000


def limit_memory(most: int) -> None:
    """Let the system refuse more memory than that, beside what the program has now; not on Windows."""
    try:
        import resource
    except ImportError:
        return
    allowed = 2 * most + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def walk(h5py: Any, file: Any, most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the text attributes of every group by its place, and the arrays by theirs."""
    attributes: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    waiting = [("", file)]
    while waiting:
        place, node = waiting.pop()
        if (
            len(attributes) + len(arrays) > MOST_ENTRIES
            or place.count("/") > DEEPEST
            or len(place) > LONGEST_NAME
        ):
            raise ValueError(f"{place[:100]}: expected fewer or less deep groups, got more")
        if isinstance(node, h5py.Dataset):
            if node.is_virtual or node.external or node.dtype.kind not in "fiu":
                raise ValueError(f"{place}: expected numbers in the file itself, got {node.dtype}")
            most -= int(node.nbytes)
            if most < 0:
                raise ValueError(
                    f"{place}: expected at most {most + node.nbytes} bytes more, got {node.nbytes}"
                )
            arrays[place] = node[()]
            continue
        attributes[place] = {name: texts(value) for name, value in node.attrs.items()}
        for name in node:
            if isinstance(node.get(name, getlink=True), h5py.HardLink):
                waiting.append((f"{place}/{name}" if place else name, node[name]))
    return attributes, arrays


def texts(value: Any) -> Any:
    """Return a text, or a list of texts; None for anything else."""
    found = [one.decode() if isinstance(one, bytes) else one for one in np.ravel(value).tolist()]
    if not all(isinstance(one, str) for one in found):
        return None
    return found[0] if np.ndim(value) == 0 else found


def main() -> None:
    """Read from the standard input, within as many bytes of arrays as the argument says."""
    import h5py

    most = int(sys.argv[1])
    limit_memory(most)
    content = sys.stdin.buffer.read()
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            attributes, arrays = walk(h5py, file, most)
    except (ValueError, OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        sys.exit(str(error))
    index = json.dumps({"attributes": attributes, "arrays": list(arrays)}).encode()
    out = io.BytesIO()
    np.savez(out, *arrays.values(), index=np.frombuffer(index, np.uint8))
    sys.stdout.buffer.write(out.getvalue())


if __name__ == "__main__":
    main()
