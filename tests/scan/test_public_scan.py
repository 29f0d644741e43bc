"""``refscan.scan`` is the function, though the folder of the scan's code has the same name."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "before",
    [
        "",
        "refscan.Artifact",
        "refscan.Scan",
        "from refscan.scan.pipeline import Scan",
        "import refscan.scan.ledger",
        "refscan.scan; import refscan.scan.ledger",
    ],
)
def test_it_is_the_function_whatever_was_imported_before(before):
    code = f"import refscan\n{before}\nfrom refscan import scan\nassert scan is refscan.scan and callable(scan), scan"
    subprocess.run([sys.executable, "-c", code], check=True)
