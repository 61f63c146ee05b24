"""The rules that keep the house in shape."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import kosmos_eval

PARTS = ("tasks", "model", "reports")
ROOT = Path(__file__).parent.parent
PACKAGE = Path(kosmos_eval.__file__).parent

in_source_tree = pytest.mark.skipif(
    not (ROOT / "kosmos_eval" / "__init__.py").exists(), reason="these rules are about the source tree"
)


@in_source_tree
@pytest.mark.parametrize("part", PARTS)
def test_each_part_stands_at_the_root_and_is_linked_into_the_package(part: str) -> None:
    link = ROOT / "kosmos_eval" / part
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{part}"
    assert not (ROOT / part).is_symlink()


def imported_modules(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(level=0, module=str(module)):
                names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
            case ast.ImportFrom(level=level, module=module) if level > 0:
                package = [".", *file.relative_to(PACKAGE).parts[:-1]]
                base = package[: len(package) - level + 1]
                names |= {
                    ".".join(["kosmos_eval", *base[1:], *(module or "").split("."), alias.name]) for alias in node.names
                }
    return names


def test_the_core_imports_no_part() -> None:
    core = [file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] not in PARTS]
    assert len(core) > 20
    forbidden = tuple(f"kosmos_eval.{part}" for part in PARTS)
    breaches = {
        f"{file.name}: {name}"
        for file in core
        for name in imported_modules(file)
        if any(name == part or name.startswith(f"{part}.") for part in forbidden)
    }
    assert breaches == set()


@pytest.mark.parametrize("part", PARTS)
def test_parts_reach_their_siblings_relatively(part: str) -> None:
    files = sorted((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        absolute = [
            node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0
        ]
        own = f"kosmos_eval.{part}"
        assert not [name for name in absolute if name == own or name.startswith(f"{own}.")], file


def test_nothing_of_the_project_is_a_top_level_package_of_its_own() -> None:
    for part in PARTS:
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({part!r}) is not None)"
        assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0, part


def test_every_built_in_is_an_entry_point() -> None:
    named = {
        entry.name for group in ("tasks", "models", "reports") for entry in entry_points(group=f"kosmos_eval.{group}")
    }
    assert {"vqav2", "raven", "kosmos", "kosmos-tiny", "html"} <= named


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'pyarrow', 'PIL', 'datasets', 'transformers', 'lm_eval', 'pydantic', 'scipy'}"
    code = f"import sys, kosmos_eval.cli; sys.exit(bool(heavy := {heavy} & set(sys.modules)) and str(heavy))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@in_source_tree
def test_files_of_code_stay_small_and_have_names_of_their_own() -> None:
    files = [file for tree in ("kosmos_eval", *PARTS) for file in (ROOT / tree).rglob("*.py")]
    assert not {file.name for file in files} & {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [str(file) for file in files if len(file.read_text(encoding="utf-8").splitlines()) > 400] == []


@in_source_tree
def test_every_install_is_held_by_the_constraints() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {line.split(">=")[0].split("[")[0].lower() for line in wanted} - {"kosmos-eval"}
    assert [name for name in sorted(names) if f"\n{name}==" not in f"\n{pinned}"] == []
