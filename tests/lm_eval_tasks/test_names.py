"""Names of lm-eval's tasks, groups and tags, in folders of YAML files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lm_eval
import pytest
from lm_eval.tasks._index import TaskIndex

from kosmos_eval.errors import DataError, PluginError, UnknownNameError, UsageError
from kosmos_eval.lm_eval_tasks import names as names_module
from kosmos_eval.lm_eval_tasks.names import PREFIX, LmEvalNames, code_files
from kosmos_eval.lm_eval_tasks.shipped import ShippedFiles
from kosmos_eval.plugins import Plugins

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "one.yaml": "task: one\ntag: [odd, small]\noutput_type: loglikelihood\nprocess_docs: !function utils.process\n",
    "two.yaml": '"task": "two words"\ntag: small\n',
    "three.yaml": "task: three\ntag: odd\n",
    "groups.yaml": """
group: several
group_alias: Several
task:
  - small
  - {task: three, task_alias: drei}
  - {task: three, num_fewshot: 5}
  - {group: within, task: [{task: spelt, dataset_path: json, doc_to_text: x}]}
aggregate_metric_list: [{metric: acc}]
""",
    "changed.yaml": "group: changed\ntask: [several]\ndescription: 'Do it. '\n",
    "utils.py": "def process(docs):\n    return docs\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LmEvalNames:
    """Return the folder's names, with lm-eval's own left out."""
    monkeypatch.setattr(names_module, "ShippedFiles", lambda: ShippedFiles(tmp_path / "nothing"))
    return LmEvalNames([folder])


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("one", ("one",)),
        ("odd", ("one", "three")),
        ("t*", ("three", "two words")),
        ("several", ("one", "two words", "three", "several::three", "several::spelt")),
        (
            "changed",
            ("changed::one", "changed::two words", "changed::three", "changed::spelt"),
        ),
        ("several::spelt", ("several::spelt",)),
    ],
)
def test_a_name_stands_for_tasks(names: LmEvalNames, name: str, members: tuple[str, ...]) -> None:
    assert names.expand(name) == members


def test_a_groups_changes_are_in_its_tasks_configuration(names: LmEvalNames) -> None:
    changed = names.recipe("changed::one").config()
    assert (changed["task"], changed["description"]) == ("changed::one", "Do it. ")
    assert callable(changed["process_docs"])
    assert names.recipe("several::spelt").config()["dataset_path"] == "json"
    assert "description" not in names.recipe("one").config()
    assert names.recipe("one").config(functions=False)["process_docs"].endswith("utils.process")


def test_unknown_names_are_errors_that_offer_the_nearest(names: LmEvalNames) -> None:
    with pytest.raises(UnknownNameError, match="no task, group or tag of lm-eval named 'thre'; did you mean 'three'"):
        names.expand("thre")
    with pytest.raises(UnknownNameError, match="named 'several::four'"):
        names.expand("several::four")
    with pytest.raises(UsageError, match=r"lm_eval:x\*: expected a task of an --include-path folder to match"):
        names.expand("x*")
    with pytest.raises(UsageError, match="expected lm_eval:odd to be a task, got a group or tag of 2"):
        names.recipe("odd")


def test_a_yaml_file_that_is_none_is_named_where_a_name_of_it_is_asked_for(folder: Path, names: LmEvalNames) -> None:
    (folder / "torn.yaml").write_text("task: broken\n  doc_to_text: [\n", encoding="utf-8")
    (folder / "list.yaml").write_text("- a\n", encoding="utf-8")
    for name in ("broken", "torn"):
        with pytest.raises(DataError, match=r"torn\.yaml: lm-eval cannot read it \(ScannerError: ") as raised:
            names.expand(name)
        assert "\n" not in str(raised.value)
    with pytest.raises(UnknownNameError, match=r"named 'zzzzzz'; known: one, three, two words$"):
        names.expand("zzzzzz")
    assert names.expand("one") == ("one",)


def test_code_that_cannot_be_imported_is_named_with_its_file(folder: Path, names: LmEvalNames) -> None:
    (folder / "utils.py").write_text("raise OSError('gone')\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"one\.yaml: lm-eval cannot read it \(OSError: gone\)"):
        names.recipe("one").config()


def test_code_beside_yaml_files_is_no_plugin_unless_it_says_so(folder: Path, tmp_path: Path) -> None:
    (folder / "ours.py").write_text("TASKS = ()\nMODELS = (1,)\n", encoding="utf-8")
    (folder / "utils.py").write_text("raise RuntimeError\n", encoding="utf-8")
    assert code_files(folder) == {folder / "utils.py"}
    with pytest.raises(PluginError, match=r"ours\.py: expected 1 to have a name"):
        Plugins([folder])
    (folder / "ours.py").unlink()
    Plugins([folder])
    without = tmp_path / "without"
    without.mkdir()
    (without / "utils.py").write_text("x = 1\n", encoding="utf-8")
    assert not code_files(without)


SHIPPED = {
    "plain.yaml": "task: plain # first\ntag: small\n",
    "quoted.yaml": '"task": "quoted-1.0"\ninclude: _template\n',
    "single.yaml": "task: 'single'\ninclude:\n  - _template\n  - deep/other_yaml\n",
    "small.yaml": "task: small_but_no_member\ndescription: a small thing\n",
    "deep/grouped.yaml": "group: grouped\ntask:\n  - plain\n  - common\n",
    "deep/other_yaml": "tag: [other]\noutput_type: loglikelihood\n",
    "deep/again.yaml": "task: again\ninclude: ../_template\n",
    "deep/broken.yaml": "task: broken\ntag: common\n  - [\n",
    "_template": "tag:\n  - common\ndoc_to_text: x\n",
}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of YAML files that stands for lm-eval's own."""
    folder = tmp_path / "tasks"
    (folder / "deep").mkdir(parents=True)
    for name, text in SHIPPED.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(lm_eval, "__path__", [str(tmp_path)])
    return folder


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("plain", ("plain",)),
        ("quoted-1.0", ("quoted-1.0",)),
        ("single", ("single",)),
        ("small", ("plain",)),
        ("common", ("again", "quoted-1.0")),
        ("other", ("single",)),
        ("grouped", ("plain", "again", "quoted-1.0")),
    ],
)
def test_lm_evals_own_names_are_found_in_the_text_of_their_files_and_templates(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, name: str, members: tuple[str, ...]
) -> None:
    monkeypatch.setattr(TaskIndex, "build", _never)
    names = LmEvalNames()
    assert names.expand(name) == members
    assert names.recipe("quoted-1.0").file == shipped / "quoted.yaml"
    assert PREFIX == "lm_eval:"


@pytest.mark.usefixtures("shipped")
def test_what_lm_evals_own_files_do_not_name_is_unknown_without_reading_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskIndex, "build", _never)
    for name, near in (("commons", "common"), ("groupd", "grouped"), ("singel", "single"), ("othre", "other")):
        with pytest.raises(UnknownNameError, match=f"named '{name}'; did you mean '{near}'"):
            LmEvalNames().expand(name)


def _never(*_: object, **__: object) -> None:
    message = "lm-eval need not read all its files"
    raise AssertionError(message)
