"""Fetches the chart library that a page of a report carries, by the npm client.

    python core/charts/fetch.py [--check]

Writes uplot.js, uplot.css and LICENSE-uPlot here, unchanged, if the package is the one whose digest
stands below; with --check only says whether they are what it holds. A newer version: change VERSION
and DIGEST (`npm view uplot@VERSION dist.integrity`, without `sha512-`), run this, look at a page
(docs/report.md).
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.6.32"
DIGEST = "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
FILES = {
    "package/dist/uPlot.iife.min.js": "uplot.js",
    "package/dist/uPlot.min.css": "uplot.css",
    "package/LICENSE": "LICENSE-uPlot",
}


def fetched() -> dict[str, bytes]:
    """The files by their names here; exits if the package is another one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"uplot@{VERSION}"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        package = next(Path(folder).glob("*.tgz"))
        digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if digest != DIGEST:
            sys.exit(f"uplot {VERSION} has the digest {digest}, not {DIGEST}")
        with tarfile.open(package) as archive:
            return {own: archive.extractfile(name).read() for name, own in FILES.items()}


def main() -> None:
    here = Path(__file__).parent
    for name, content in fetched().items():
        place = here / name
        if "--check" not in sys.argv:
            place.write_bytes(content)
        elif not place.is_file() or place.read_bytes() != content:
            sys.exit(f"{name} is not the one of uplot {VERSION}")


if __name__ == "__main__":
    main()
