"""What the pages say is what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.skipif(not DOCS.exists(), reason="the pages are part of the source tree")
@pytest.mark.parametrize("page", ["reference", "model_cards", "benchmarks"])
def test_a_page_that_is_made_is_what_the_code_says(page: str) -> None:
    done = subprocess.run([sys.executable, str(DOCS / f"make_{page}.py"), "--check"], check=False)
    assert done.returncode == 0, f"docs/{page.replace('_', '-')}.md is out of date: run make docs"
