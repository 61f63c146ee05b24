"""The plan is the same work for any order of the data, and says what is wrong before anything is asked."""

from __future__ import annotations

import copy
import random
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmos_eval.config import parse_config
from kosmos_eval.cutting import UNIT_SAMPLES, UNIT_TOKENS
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.plan import Plan, make_plan, resolve_model
from kosmos_eval.plugins import Plugins, _Plugin
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Generate
from kosmos_eval.selection import make_task
from kosmos_eval.subset import choose
from kosmos_eval.task import Metric, Sample, Score

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from kosmos_eval.data.source import Source, SourceKind
    from kosmos_eval.request import Request, Response

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Picture(Sample):
    image: Image
    answer: str = "red"


def shade(number: int, name: str = "") -> Image:
    return Image(lambda: PIL.Image.new("RGB", (2, 2), (number % 256, number // 256, 0)), name or f"shade {number}")


def pictures(count: int, first: int = 0) -> list[Picture]:
    """Return items of which three show each picture."""
    return [
        Picture(key=f"item {number}", cluster=f"picture {number // 3}", image=shade(number // 3))
        for number in range(first, first + count)
    ]


INSTALLED = Plugins([FOLDER / "plugins"])
TRAIN = pictures(30, first=600)


def task_of(splits: Mapping[str, Iterable[Sample]]) -> type[Any]:
    """Return a task class whose samples are the given ones."""

    @dataclass(frozen=True)
    class Pictures:
        name: ClassVar[str] = "pictures"
        version: ClassVar[int] = 1
        description: ClassVar[str] = "Say what is seen."
        sources: ClassVar[tuple[SourceKind, ...]] = ("mini",)
        metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "share of right answers"),)
        split: str = "val"
        exemplar_split: str = "train"
        question: str = "What?"
        share: float = 0.5
        names: tuple[str, ...] = ("a",)
        most: int | None = None
        silent: bool = False
        repeats: int = 1

        def samples(self, split: str, source: Source) -> Iterator[Sample]:  # noqa: ARG002  there is one source
            yield from splits[split]

        def ask(self, sample: Picture, exemplars: Sequence[Picture]) -> Generator[Request, Response, str]:
            if self.silent:
                return "red"
            before = [part for each in exemplars for part in (each.image, each.answer)]
            yield Generate(Prompt.of(*before, sample.image, self.question * self.repeats), max_new_tokens=4)
            return "red"

        def score(self, sample: Picture, answer: str) -> Score:
            return Score({"accuracy": float(sample.answer == answer)}, answer)

    return Pictures


def plugins_with(task: type[Any]) -> Plugins:
    found = copy.deepcopy(INSTALLED)
    found._add("task", _Plugin(task.name, "this test", lambda: task))
    return found


def plan_of(
    val: Iterable[Sample], train: Iterable[Sample] = TRAIN, task: type[Any] | None = None, **config: object
) -> Plan:
    values = {"tasks": ["pictures"], "model": "scripted", "report": [], **config}
    return make_plan(parse_config(values, "a test"), plugins_with(task or task_of({"val": val, "train": train})))


def shuffled(items: Sequence[Picture], seed: int) -> list[Picture]:
    return random.Random(seed).sample(items, len(items))


# --- units


def test_the_units_do_not_depend_on_the_order_of_the_dataset() -> None:
    items = pictures(300)
    plans = [plan_of(items), plan_of(shuffled(items, 1)), plan_of(items[::-1])]
    assert len({plan.units for plan in plans}) == 1
    assert len(plans[0].units) > 2


def clustered(sizes: Sequence[int]) -> list[Sample]:
    """Return samples in clusters of the given sizes; a size of 0 is a sample that stands alone."""
    return [
        Picture(key=f"{number}-{part}", cluster=f"cluster {number}" if size else "", image=shade(0))
        for number, size in enumerate(sizes)
        for part in range(max(size, 1))
    ]


@settings(max_examples=12)
@given(st.lists(st.integers(0, 2 * UNIT_SAMPLES + 3), min_size=1, max_size=12), st.integers(1, 2000))
def test_units_cover_all_samples_once_and_keep_clusters_whole(sizes: list[int], repeats: int) -> None:
    plan = plan_of(clustered(sizes), settings={"pictures": {"repeats": repeats}})
    keys = [key for unit in plan.units for key in unit.keys]
    assert Counter(keys) == Counter(each.key for each in clustered(sizes))
    assert len({unit.id for unit in plan.units}) == len(plan.units)
    assert max(len(unit.keys) for unit in plan.units) <= UNIT_SAMPLES
    cell = plan.cells[0]
    of_cluster: dict[str, set[str]] = {}
    for unit in plan.units:
        for key in unit.keys:
            of_cluster.setdefault(cell.samples[key].cluster or key, set()).add(unit.id)
        clusters = {cell.samples[key].cluster or key for key in unit.keys}
        weight = sum(cell.first_requests.tokens[key] for key in unit.keys)
        assert weight <= UNIT_TOKENS or len(clusters) == 1
    for number, size in enumerate(sizes):
        if 0 < size <= UNIT_SAMPLES:
            assert len(of_cluster[f"cluster {number}"]) == 1


def test_long_prompts_make_units_of_fewer_samples() -> None:
    short, long = (plan_of(pictures(90), settings={"pictures": {"repeats": repeats}}) for repeats in (1, 4000))
    assert len(long.units) > len(short.units) == 2


def test_each_shot_count_is_a_cell_with_units_of_its_own() -> None:
    plan = plan_of(pictures(90), shots=[0, 2])
    assert [cell.name for cell in plan.cells] == ["pictures@mini|0", "pictures@mini|2"]
    assert {unit.cell for unit in plan.units} == {"pictures@mini|0", "pictures@mini|2"}
    assert plan.cell("pictures@mini|2").shots == 2


# --- limits


def kept(items: Sequence[Picture], **values: object) -> list[str]:
    config = parse_config({"tasks": ["pictures"], **values}, "a test")
    return [each.key for each in choose(items, config, "pictures")]


@settings(max_examples=20)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_smaller_limit_keeps_a_part_of_what_a_larger_one_keeps(
    a: int, b: int, seed: int, draw: random.Random
) -> None:
    items = pictures(50)
    small, large = (kept(draw.sample(items, len(items)), limit=limit, seed=seed) for limit in sorted((a, b)))
    assert set(small) <= set(large)
    assert (len(small), len(large)) == (min(a, b, 50), min(max(a, b), 50))


def test_the_kept_samples_change_with_the_seed_and_are_spread_over_the_dataset() -> None:
    items = pictures(300)
    first, second = kept(items, limit=30, seed=0), kept(items, limit=30, seed=1)
    assert set(first) != set(second)
    numbers = [int(key.removeprefix("item ")) for key in first]
    assert min(numbers) < 60
    assert max(numbers) > 240


@pytest.mark.parametrize(("limit", "count"), [(0.5, 25), (0.001, 1), (1, 1), (1.0, 1), (50, 50), (999, 50), (None, 50)])
def test_a_limit_below_one_is_a_share(limit: float | None, count: int) -> None:
    plan = plan_of(pictures(50), limit=limit)
    assert (len(plan.cells[0].samples), plan.cells[0].total) == (count, 50)


def test_the_first_samples_are_kept_when_that_is_asked_for() -> None:
    assert kept(pictures(50), limit=4, sample_order="first") == ["item 0", "item 1", "item 2", "item 3"]


def test_every_shot_count_keeps_the_same_samples() -> None:
    plan = plan_of(pictures(50), limit=9, shots=[0, 1, 4])
    assert len({tuple(cell.samples) for cell in plan.cells}) == 1


# --- fingerprints

ITEMS = pictures(12)


def changed(before: Plan, after: Plan) -> set[str]:
    """Return the kinds of fingerprint that differ."""
    pairs = zip(before.cells, after.cells, strict=True)
    return {kind for old, new in pairs for kind in old.fingerprints if old.fingerprints[kind] != new.fingerprints[kind]}


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"answer": "blue"}, {"data"}),
        ({"image": shade(99)}, {"data", "prompts"}),
        ({"key": "renamed"}, {"data", "prompts"}),
        ({"cluster": "elsewhere"}, {"data"}),
        ({"image": shade(0, "moved.png")}, set()),
    ],
)
def test_a_changed_sample_changes_the_fingerprints_that_cover_it(change: dict[str, Any], kinds: set[str]) -> None:
    assert changed(plan_of(ITEMS), plan_of([replace(ITEMS[0], **change), *ITEMS[1:]])) == kinds


def test_a_prompt_setting_changes_the_prompts_alone() -> None:
    assert changed(plan_of(ITEMS), plan_of(ITEMS, settings={"pictures": {"question": "Which?"}})) == {"prompts"}


def test_the_task_version_changes_the_scorer_alone() -> None:
    newer = task_of({"val": ITEMS, "train": TRAIN})
    newer.version = 2
    assert changed(plan_of(ITEMS), plan_of(ITEMS, task=newer)) == {"scorer"}


def test_exemplars_count_as_far_as_they_are_shown() -> None:
    other = [replace(each, answer="blue") for each in TRAIN]
    assert changed(plan_of(ITEMS), plan_of(ITEMS, other)) == set()
    assert changed(plan_of(ITEMS, shots=[2]), plan_of(ITEMS, other, shots=[2])) == {"data", "prompts"}
    fixed = plan_of(ITEMS, shots=[1], exemplars="fixed")
    (shown,) = {fixed.cells[0].exemplars(each)[0].key for each in ITEMS}
    unseen = [each if each.key == shown else replace(each, answer="blue") for each in TRAIN]
    assert changed(fixed, plan_of(ITEMS, unseen, shots=[1], exemplars="fixed")) == set()


def test_what_measures_nothing_changes_no_fingerprint() -> None:
    before = plan_of(ITEMS, shots=[2])
    for config in ({"batch_size": 7}, {"device": "cpu"}, {"limit": 12}):
        assert changed(before, plan_of(ITEMS, shots=[2], **config)) == set()
    assert changed(before, plan_of(shuffled(ITEMS, 3), shuffled(TRAIN, 4), shots=[2])) == set()


@pytest.mark.parametrize("config", [{"seed": 1}, {"exemplars": "fixed"}])
def test_another_choice_of_exemplars_is_another_prompt(config: dict[str, Any]) -> None:
    assert "prompts" in changed(plan_of(ITEMS, shots=[2]), plan_of(ITEMS, shots=[2], **config))


# --- what cannot be planned


class Refusal(NamedTuple):
    val: Sequence[Sample]
    config: dict[str, Any]
    error: type[Exception]
    message: str


REFUSALS = [
    Refusal([], {}, DataError, "pictures@mini: split val of mini holds no samples"),
    Refusal([ITEMS[0], ITEMS[0]], {}, DataError, "split val: expected every sample to have its own key, got 'item 0'"),
    Refusal([replace(ITEMS[0], key=3)], {}, DataError, "expected every sample's key to be a text .*, got 3"),  # type: ignore[arg-type]  # what a task's author gets wrong
    Refusal([replace(ITEMS[0], key="")], {}, DataError, "expected every sample's key to be a text .*, got ''"),
    Refusal(ITEMS[:3], {"data": "hub"}, UsageError, "pictures cannot read --data hub; it reads --data mini"),
    Refusal(ITEMS[:3], {"data": "nowhere"}, UsageError, "--data nowhere: expected mini, hub or an existing folder"),
    Refusal(ITEMS[:3], {"tasks": ["picture"]}, UnknownNameError, "no task named 'picture'; did you mean 'pictures'"),
    Refusal(ITEMS[:3], {"model": "script"}, UnknownNameError, "no model named 'script'; did you mean 'scripted'"),
    Refusal(ITEMS[:3], {"report": ["htm"]}, UnknownNameError, "no report named 'htm'; did you mean 'html'"),
    Refusal(ITEMS[:3], {"settings": {"raven": {}}}, UnknownNameError, "no task of this run named 'raven'"),
    Refusal(
        ITEMS[:3], {"settings": {"pictures": {"shar": 1}}}, UnknownNameError, "no setting of pictures named 'shar'"
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.message)
def test_work_that_makes_no_sense_is_refused(case: Refusal) -> None:
    with pytest.raises(case.error, match=case.message):
        plan_of(case.val, **case.config)


def test_two_exemplars_of_one_key_are_refused() -> None:
    with pytest.raises(DataError, match="split train: expected every sample to have its own key"):
        plan_of(ITEMS, [*TRAIN, TRAIN[0]], shots=[1])
    plan_of(ITEMS, [*TRAIN, TRAIN[0]])  # which nobody reads without shots


def test_a_sample_that_asks_nothing_is_named() -> None:
    with pytest.raises(DataError, match="pictures@mini: expected sample item 0 to ask something"):
        _ = plan_of(ITEMS, settings={"pictures": {"silent": True}}).units


# --- settings


def setting(**values: object) -> Any:  # noqa: ANN401  the task's class is made at run time
    return make_task("pictures", values, plugins_with(task_of({})))


def test_settings_take_the_type_of_their_default() -> None:
    made = setting(share=1, names="b", most=3, silent=True)
    assert (made.share, made.names, made.most, made.silent) == (1.0, ("b",), 3, True)
    assert isinstance(made.share, float)
    assert setting(names=["b", "c"]).names == ("b", "c")
    assert setting(most=None).most is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"repeats": "x"}, "setting pictures.repeats: expected int such as 1, got 'x'"),
        ({"repeats": True}, "setting pictures.repeats: expected int such as 1, got True"),
        ({"repeats": None}, "setting pictures.repeats: expected int such as 1, got None"),
        ({"share": True}, "setting pictures.share: expected float such as 0.5, got True"),
        ({"silent": 1}, "setting pictures.silent: expected bool such as False, got 1"),
        ({"split": 2014}, "setting pictures.split: expected str such as 'val', got 2014"),
    ],
)
def test_a_setting_of_another_type_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        setting(**values)


# --- model and source


def test_embedded_models_read_mini_and_others_the_hub(tmp_path: Path) -> None:
    found = Plugins([FOLDER / "plugins"])
    spec, config = resolve_model(parse_config({"tasks": ["t"], "model": "scripted"}, "a test"), found)
    assert (spec.name, config.data) == ("scripted", "mini")
    spec, config = resolve_model(parse_config({"tasks": ["t"], "model": str(tmp_path)}, "a test"), found)
    assert (spec.name, config.data, config.model_args) == ("kosmos", "hub", {"pretrained": str(tmp_path)})


def test_a_name_with_an_owner_is_a_checkpoint_of_the_hub() -> None:
    found = Plugins([FOLDER / "plugins"])
    spec, config = resolve_model(parse_config({"tasks": ["t"], "model": "owner/a-model.v2"}, "a test"), found)
    assert (spec.name, config.data, config.model_args) == ("kosmos", "hub", {"pretrained": "owner/a-model.v2"})
    for name in ("./owner", "a/b/c", "owner/", "/owner"):
        with pytest.raises(UnknownNameError):
            resolve_model(parse_config({"tasks": ["t"], "model": name}, "a test"), found)


def test_paths_are_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "official").mkdir()
    values = {"tasks": ["t"], "model": "scripted", "data": "official", "include_path": ["more"]}
    _, config = resolve_model(parse_config(values, "a test"), Plugins([FOLDER / "plugins"]))
    assert (config.data, config.include_path) == (str(tmp_path / "official"), (str(tmp_path / "more"),))
