"""Writes the snapshot of every built-in task's prompts, one file a task, beside this script.

python tests/tasks/prompts/make_prompts.py            write those of new tasks and of new versions
python tests/tasks/prompts/make_prompts.py --force    write all, even where prompts changed and the version did not

A prompt that changed without a new version is refused: its numbers are not those of before.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kosmos_eval.plugins import Plugins
from kosmos_eval.snapshots import compare, snapshot

FOLDER = Path(__file__).parent


def main() -> int:
    """Write the files; return 1 when one was refused."""
    plugins = Plugins()
    refused = 0
    for name in plugins.built_in("task"):
        path, now = FOLDER / f"{name}.txt", snapshot(name, plugins)
        recorded = path.read_text(encoding="utf-8") if path.exists() else None
        same_version = recorded is not None and recorded.partition("\n")[0] == now.partition("\n")[0]
        if recorded != now and same_version and "--force" not in sys.argv[1:]:
            sys.stderr.write(f"{compare(recorded, now, 'this script')}\n")
            refused = 1
        elif recorded != now:
            path.write_text(now, encoding="utf-8")
            sys.stdout.write(f"{path.name}\n")
    for path in FOLDER.glob("*.txt"):
        if path.stem not in plugins.built_in("task"):
            path.unlink()
            sys.stdout.write(f"{path.name}: there is no such task any more\n")
    return refused


if __name__ == "__main__":
    sys.exit(main())
