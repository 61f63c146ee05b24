"""What the pages say is what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.skipif(not DOCS.exists(), reason="the pages are part of the source tree")
def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, str(DOCS / "make_reference.py"), "--check"], check=False)
    assert done.returncode == 0, "docs/reference.md is out of date: run make docs"
