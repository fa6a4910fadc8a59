"""Takes the picture of a page that the docs show: `make picture`.

    python core/charts/picture.py OUTLAY LEDGER PICTURE

Needs Debian's chromium. PICTURE is the top of a page 1,100 pixels wide, by tenant.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1000,3070",
    "--force-device-scale-factor=0.6",
)


def main() -> None:
    outlay, ledger, picture = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        store = f"sqlite:{ledger}"
        report = [outlay, "--store", store, "report", "--by", "tag:tenant", "--html", str(page)]
        subprocess.run(report, check=True, stdout=subprocess.DEVNULL)
        profile = f"--user-data-dir={folder}/profile"
        shot = f"--screenshot={Path(picture).resolve()}"
        subprocess.run(
            ["chromium", *FLAGS, profile, shot, page.as_uri()], check=True, capture_output=True
        )
    print(f"{picture}: {Path(picture).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
