"""Plugins are found by name, and one that is malformed is refused with what was expected of it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from textwrap import dedent
from typing import TYPE_CHECKING, Protocol

import pytest

from kosmos_eval import plugins as plugins_module
from kosmos_eval.errors import DataError, PluginError, UnknownNameError
from kosmos_eval.fingerprint import scorer_fingerprint
from kosmos_eval.plugins import Plugins

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.plugins import Kind

GOOD = """
    from dataclasses import dataclass
    from kosmos_eval.task import Metric, Score

    @dataclass(frozen=True)
    class Task:
        name = "good"
        version = 1
        description = "A task."
        sources = ("mini",)
        metrics = (Metric("accuracy", "share of right answers"),)
        split: str = "val"
        exemplar_split: str = "train"

        def samples(self, split, source):
            return ()

        def ask(self, sample, exemplars):
            yield None

        def score(self, sample, answer):
            return Score({}, None)

    TASKS = (Task,)
"""


class Write(Protocol):
    def __call__(self, code: str, name: str = "brought.py", folder: str = "plugins") -> Path: ...


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(code: str, name: str = "brought.py", folder: str = "plugins") -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(dedent(code), encoding="utf-8")
        return tmp_path / folder

    return put


def test_a_file_of_an_included_folder_brings_its_task(write: Write) -> None:
    found = Plugins([write(GOOD)])
    assert "good" in found.names("task")
    assert found.task("good").version == 1
    assert found.task("good") is found.task("good")


def test_files_that_begin_with_an_underscore_are_left_alone(write: Write) -> None:
    write("raise SystemExit", name="_draft.py")
    assert "good" in Plugins([write(GOOD)]).names("task")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("(frozen=True)", "", "expected a frozen dataclass, got one that is not frozen"),
        ("@dataclass(frozen=True)", "", "expected a frozen dataclass, got <class"),
        ('name = "good"', 'name = "Not Good"', "expected name to be a lower-case identifier, got 'Not Good'"),
        ("version = 1", "version = 0", "expected version to be a whole number from 1, got 0"),
        ("version = 1", "version = '1'", "expected version to be a whole number from 1, got '1'"),
        ("version = 1", "pass", "expected version to be a whole number from 1, got None"),
        ('"A task."', '""', "expected a description of one line, got ''"),
        ('("mini",)', '("web",)', "expected sources to be some of 'mini', 'hub', 'folder', got ('web',)"),
        ('("mini",)', '"mini"', "expected sources to be some of 'mini', 'hub', 'folder', got 'mini'"),
        ('(Metric("accuracy", "share of right answers"),)', "()", "expected metrics to be a tuple of at least one"),
        ('(Metric("accuracy", "share of right answers"),)', "('accuracy',)", "expected metrics to be a tuple of"),
        ('"share of right answers"),', '"a"), Metric("accuracy", "b"),', "expected metrics of different names"),
        ('split: str = "val"', "other: str = ''", "expected split to be a setting with a text as its default"),
        ('exemplar_split: str = "train"', "exemplar_split: int = 3", "expected exemplar_split to be a setting"),
        ('split: str = "val"', "split: str", "expected setting 'split' to have a default"),
        ("version = 1", "version = 1; asked_in = 'question'", "expected asked_in to be a tuple of texts, names of"),
        ("version = 1", "version = 1; answered_in = (3,)", "expected answered_in to be a tuple of texts, names of"),
        ("def samples", "def items", "expected a method samples"),
        ("def ask(self, sample, exemplars)", "def ask(self, sample)", "expected ask to take 2 arguments besides self"),
        ("yield None", "return None", "expected ask to be a generator: it must yield requests"),
        ("def score(self, sample, answer)", "def score(self, x, y, z)", "expected score to take 2 arguments"),
    ],
)
def test_a_malformed_task_is_refused_by_name_and_file_with_what_was_expected(
    write: Write, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    code = GOOD.replace(old, new, 1)
    if new == "split: str":  # without defaults, fields cannot follow fields that have one
        code = code.replace('exemplar_split: str = "train"', "exemplar_split: str")
    folder = write(code)
    name = "Not Good" if "Not Good" in code else "good"
    with pytest.raises(PluginError) as refused:
        Plugins([folder]).task(name)
    assert expected in str(refused.value)
    assert f"task {name!r} ({folder / 'brought.py'}) is malformed: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_task_may_have_slots(write: Write) -> None:
    assert Plugins([write(GOOD.replace("(frozen=True)", "(frozen=True, slots=True)"))]).task("good").version == 1


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        (
            "class M: name = 'm'\nMODELS = (M,)",
            "model",
            "expected a kosmos_eval.language_model.ModelSpec, got <class",
        ),
        (
            """
            from kosmos_eval.language_model import ModelSpec
            MODELS = (ModelSpec('M x', 'about', lambda options: None, lambda options: ''),)
            """,
            "model",
            "expected name to be a lower-case identifier, got 'M x'",
        ),
        ("class R:\n    name = 'r'\nREPORTS = (R(),)", "report", "expected a method write(record, folder), got <"),
        (
            "class R:\n    name = 'r'\n    def write(self, record, folder): ...\nREPORTS = (R,)",
            "report",
            "expected a report writer, got the class R: make one of it, R()",
        ),
    ],
)
def test_a_malformed_model_or_report_is_refused_with_what_was_expected(
    write: Write, code: str, kind: Kind, expected: str
) -> None:
    plugins = Plugins([write(code)])
    name = next(name for name in plugins.names(kind) if name in {"m", "M x", "r"})
    with pytest.raises(PluginError) as refused:
        (plugins.model if kind == "model" else plugins.report)(name)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1", "expected TASKS, MODELS or REPORTS to name what the file brings, found none of them"),
        ("TASKS = ()", "expected TASKS, MODELS or REPORTS to name what the file brings, found none of them"),
        ("class Birds: name = 'birds'\nTASKS = Birds", "expected TASKS to be a tuple, such as (task,), got <class"),
        ("MODELS = 'kosmos'", "expected MODELS to be a tuple, such as (model,), got 'kosmos'"),
        ("TASKS = (3,)", "expected 3 to have a name, as every task plugin has"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def broken(:", "cannot be imported: SyntaxError:"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_brings_nothing_of_use_is_refused_by_name(write: Write, code: str, expected: str) -> None:
    folder = write(code)
    with pytest.raises(PluginError) as refused:
        Plugins([folder])
    assert str(refused.value).startswith(f"{folder / 'brought.py'}: ")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="expected an existing folder"):
        Plugins([tmp_path / "none"])


def test_two_files_with_one_name_between_them_are_both_named(write: Write) -> None:
    write(GOOD, name="one.py")
    folder = write(GOOD, name="two.py")
    with pytest.raises(PluginError, match=r"two tasks are named 'good': .*one\.py and .*two\.py; rename one"):
        Plugins([folder])


def test_one_file_with_two_tasks_of_a_name_is_refused(write: Write) -> None:
    with pytest.raises(PluginError, match=r"brought\.py brings two tasks that are named 'good'"):
        Plugins([write(GOOD.replace("TASKS = (Task,)", "TASKS = (Task, Task)"))])


def test_a_file_may_not_take_the_name_of_an_installed_task(write: Write) -> None:
    with pytest.raises(PluginError, match=r"two tasks are named 'vqav2': .* of package kosmos-eval and .*brought\.py"):
        Plugins([write(GOOD.replace('"good"', '"vqav2"'))])


def test_a_folder_that_is_included_twice_is_no_clash(write: Write) -> None:
    folder = write(GOOD)
    assert "good" in Plugins([folder, folder / ".." / "plugins"]).names("task")


def test_files_of_one_name_in_two_folders_stay_apart(write: Write) -> None:
    first = write(GOOD, folder="first")
    second = write(GOOD.replace('"good"', '"better"').replace("version = 1", "version = 2"), folder="second")
    found = Plugins([first, second])
    assert (found.task("good").version, found.task("better").version) == (1, 2)
    alone = scorer_fingerprint(Plugins([first]).task("good"))
    assert scorer_fingerprint(found.task("good")) == alone
    assert scorer_fingerprint(found.task("better")).split(":")[1] != alone.split(":")[1]


def test_an_unknown_name_offers_the_nearest(plugins_folder: Path) -> None:
    found = Plugins([plugins_folder])
    with pytest.raises(UnknownNameError, match="no task named 'leters'; did you mean 'letters'"):
        found.task("leters")
    with pytest.raises(UnknownNameError, match=r"no model named 'zzz'; known: .*scripted"):
        found.model("zzz")
    with pytest.raises(UnknownNameError, match="no report named 'htm'; did you mean 'html'"):
        found.report("htm")


def entry(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Let one more task be installed."""
    extra = EntryPoint(name, value, "kosmos_eval.tasks")

    def installed(*, group: str) -> list[EntryPoint]:
        return [*entry_points(group=group), *([extra] if group == extra.group else [])]

    monkeypatch.setattr(plugins_module, "entry_points", installed)


def test_an_installed_plugin_that_cannot_be_imported_is_named_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry(monkeypatch, "gone", "no_such_package.task:Task")
    found = Plugins()
    assert "gone" in found.names("task")
    assert found.model("kosmos").name == "kosmos"
    with pytest.raises(PluginError, match=r"task 'gone' \(no_such_package\.task:Task .*cannot be imported: ModuleNot"):
        found.task("gone")


def test_an_installed_plugin_must_have_the_name_of_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "alias", "kosmos_eval.tasks.vqav2:VQAv2")
    with pytest.raises(PluginError, match="expected its name to be 'alias', as its entry point says, got 'vqav2'"):
        Plugins().task("alias")


def test_an_error_of_our_own_passes_through_an_import(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    folder = write("from kosmos_eval.errors import DataError\nraise DataError('no licence here')", name="raising.py")
    monkeypatch.syspath_prepend(folder)
    entry(monkeypatch, "raising", "raising:Task")
    with pytest.raises(DataError, match="no licence here"):
        Plugins().task("raising")


@pytest.mark.parametrize("kind", ["task", "model", "report"])
def test_every_installed_plugin_passes_the_checks(kind: Kind) -> None:
    found = Plugins()
    get = {"task": found.task, "model": found.model, "report": found.report}[kind]
    assert found.names(kind)
    for name in found.names(kind):
        get(name)


def test_names_are_known_without_importing_what_they_stand_for() -> None:
    code = """
        import sys
        from kosmos_eval.plugins import Plugins
        found = Plugins()
        assert found.names("task") and found.names("model") and found.names("report")
        heavy = {"torch", "numpy", "pandas", "PIL", "datasets", "pyarrow", "scipy", "kosmos_eval.tasks.vqav2"}
        sys.exit(", ".join(sorted(heavy & sys.modules.keys())) or None)
    """
    listed = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
