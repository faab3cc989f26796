"""How setup.py packs what is published: the same bytes each time, and with a list of what is in it.

Both take the time of SOURCE_DATE_EPOCH, seconds since 1970, where that is set.
"""

import copy
import gzip
import json
import os
import tarfile
import uuid
from pathlib import Path

import Cython
import numpy
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist

BILL_OF_MATERIALS = "sboms/fastlstm.cdx.json"
"""Where it lies in a wheel's `.dist-info`: PEP 770."""


def same_each_time(entry: tarfile.TarInfo, time: int) -> tarfile.TarInfo:
    """Return an entry of an archive without what differs between machines: owner, mode beyond x, time."""
    entry = copy.copy(entry)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    entry.mtime = time
    entry.pax_headers = {}
    return entry


def repack(archive: Path, time: int) -> None:
    """Write a .tar.gz again, its entries by name and as `same_each_time` has them."""
    written = archive.with_suffix(".new")
    with (
        tarfile.open(archive) as old,
        written.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=time) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in sorted(old.getmembers(), key=lambda entry: entry.name):
            new.addfile(same_each_time(entry, time), old.extractfile(entry) if entry.isfile() else None)
    written.replace(archive)


class ArchiveWithoutClock(sdist):
    """setuptools' own archive, packed again."""

    def make_distribution(self):
        """Write the archives."""
        super().make_distribution()
        time = os.environ.get("SOURCE_DATE_EPOCH")
        for archive in self.archive_files:
            if time is not None and archive.endswith(".tar.gz"):
                repack(Path(archive), int(time))


def component(name: str, version: str, licence: str, description: str) -> dict:
    """Return what CycloneDX says of a package of PyPI."""
    purl = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "description": description,
        "licenses": [{"expression": licence}],
        "purl": purl,
    }


def bill_of_materials(name: str, version: str, licence: str, description: str) -> dict:
    """Return, in CycloneDX 1.6, what was compiled into a wheel; packages that pip installs beside it are not.

    Parameters
    ----------
    name, version, licence, description : str
        Those of the wheel; `licence` is an SPDX expression.
    """
    whole = component(name, version, licence, description)
    inside = [
        component("cython", Cython.__version__, "Apache-2.0", "Its utility code, in the generated C"),
        component("numpy", numpy.__version__, "BSD-3-Clause", "Its C headers' inline functions"),
    ]
    refs = [part["bom-ref"] for part in inside]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, " ".join([whole["purl"], *refs])).urn,
        "version": 1,
        "metadata": {"component": whole},
        "components": inside,
        "dependencies": [{"ref": whole["purl"], "dependsOn": refs}, *({"ref": ref} for ref in refs)],
    }


class WheelWithBillOfMaterials(bdist_wheel):
    """setuptools' own wheel, whose times are SOURCE_DATE_EPOCH's, and the list beside its metadata."""

    def write_wheelfile(self, wheelfile_base, **options):
        """Write WHEEL, and the list."""
        super().write_wheelfile(wheelfile_base, **options)
        metadata = self.distribution.metadata
        bill = bill_of_materials(
            metadata.name, metadata.version, metadata.license_expression, metadata.description
        )
        path = Path(wheelfile_base, BILL_OF_MATERIALS)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(bill, indent=2) + "\n")
