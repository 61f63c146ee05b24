"""Exemplars of the most similar pictures: the nearest last, ranked once, read again from the run's folder."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest

from kosmos_eval.config import RunConfig, parse_config
from kosmos_eval.errors import DataError, UsageError
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Image
from kosmos_eval.rices import rank_exemplars
from kosmos_eval.run import evaluate, execute, prepare, prepare_resumed, rescore
from kosmos_eval.run_folder import reopen
from kosmos_eval.validate import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kosmos_eval.data.source import Source
    from kosmos_eval.plan import Plan

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOSMOS_EVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file where the model notes what it is loaded and asked for."""
    (tmp_path / "log").touch()
    monkeypatch.setenv("SCRIPTED_EMBED_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def config(**changes: Any) -> RunConfig:  # noqa: ANN401  any field
    fields = {"tasks": ["letters"], "shots": [4], "model": "scripted", "include_path": [str(PLUGINS)], "report": []}
    return parse_config({**fields, "exemplars": "rices", **changes}, "here")


def planned(change: Callable[[Any], Any] = lambda sample: sample, **changes: Any) -> Plan:  # noqa: ANN401  as above
    """Return a plan without a ranking whose samples have been changed; such as are changed to `None` are left out."""
    plugins = Plugins([PLUGINS])
    letters: Any = plugins.task("letters")

    @dataclass(frozen=True)
    class Changed(letters):  # type: ignore[misc]  # the class comes from a plugin
        def samples(self, split: str, source: Source) -> Iterator[Any]:
            return filter(None, map(change, super().samples(split, source)))

    plugins._loaded["task", "letters"] = Changed
    return make_plan(config(**changes), plugins)


def chosen(plan: Plan, key: str) -> list[str]:
    [cell] = plan.cells
    return [each.key for each in cell.exemplars(cell.samples[key])]


def noted(log: Path) -> Counter[str]:
    return Counter(line.partition(" ")[0] for line in log.read_text(encoding="utf-8").splitlines())


def test_the_most_similar_pictures_come_and_the_nearest_is_last() -> None:
    ranked = rank_exemplars(planned(shots=[5], settings={"letters": {"size": 39}}))
    for key, sample in ranked.cells[0].samples.items():
        shades = [(int(each) - 10_000) // 3 for each in chosen(ranked, key)]
        own = int(sample.key) // 3
        assert shades[2:] == [own] * 3  # three questions on each shade; the same one stands right before the query
        assert {abs(shade - own) for shade in shades[:2]} == {1}


def test_fewer_shots_are_the_nearest_of_more() -> None:
    ranked = rank_exemplars(planned(shots=[0, 2, 4]))
    none, two, four = ranked.cells
    for sample in two.samples.values():
        assert two.exemplars(sample) == four.exemplars(sample)[2:]
        assert none.exemplars(sample) == ()


def test_the_choice_depends_on_neither_seed_nor_limit_nor_the_order_of_the_pool() -> None:
    whole = rank_exemplars(planned())
    less = rank_exemplars(planned(limit=7, seed=0))
    other = rank_exemplars(planned(seed=5))
    turned = planned()
    turned.cells[0].pool._samples.reverse()
    turned = rank_exemplars(turned)
    for key in less.cells[0].samples:
        assert chosen(less, key) == chosen(whole, key) == chosen(other, key) == chosen(turned, key)


def test_a_near_copy_of_the_query_s_picture_is_never_shown() -> None:
    def copy(sample: Any) -> Any:  # noqa: ANN401  of a plugin's class
        """Let the training split show the validation split's shades, in other sizes."""
        number = int(sample.key) % 10_000
        side = 8 if int(sample.key) < 10_000 else 16
        shade = 20 * (number // 3)
        return replace(sample, image=Image(partial(PIL.Image.new, "RGB", (side, side), (shade, 0, 7)), sample.key))

    ranked = rank_exemplars(planned(copy, settings={"letters": {"size": 36}}))
    pool = {each.key: each for each in ranked.cells[0].pool.samples}
    for key in ranked.cells[0].samples:
        shades = {(int(pool[each].key) - 10_000) // 3 for each in chosen(ranked, key)}
        assert all(abs(shade - int(key) // 3) >= 1 for shade in shades)
        assert int(key) // 3 not in shades


def test_several_pictures_are_compared_by_their_mean() -> None:
    def pair(sample: Any) -> Any:  # noqa: ANN401  of a plugin's class
        def square(shade: int) -> Image:
            green = 200 if int(sample.key) >= 10_000 else 0
            return Image(partial(PIL.Image.new, "RGB", (8, 8), (shade + 16 * (green > 0), green, 7)), f"{shade}")

        number = int(sample.key) % 10_000
        return replace(sample, image=(square(10 * number), square(10 * number + 4)))

    ranked = rank_exemplars(planned(pair, shots=[1], settings={"letters": {"size": 5}}))
    assert [chosen(ranked, str(number)) for number in range(5)] == [[f"{10_000 + number}"] for number in range(5)]


def test_vectors_are_made_once_and_used_by_later_runs(log: Path, tmp_path: Path) -> None:
    first = evaluate(**config().model_dump(), output_path=tmp_path / "first")
    assert noted(log) == {"load": 2, "embed": 28}  # once to rank, once to ask; a picture for three letters
    second = evaluate(**config().model_dump(), output_path=tmp_path / "second")
    assert noted(log) == {"load": 3, "embed": 28}
    for name in ("results.json", "exemplars.jsonl", "samples/letters@mini_4shot.jsonl"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    evaluate(**config(dtype="bfloat16").model_dump(), output_path=tmp_path / "third")
    assert noted(log)["embed"] == 56


def test_much_work_is_announced_and_kept_in_pieces(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kosmos_eval.rices._KEPT_AT_ONCE", 5)
    rank_exemplars(planned())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2  # the queries' pictures, and the exemplars'
    assert said[0].startswith("kosmos-eval: 14 pictures are encoded to compare them; later runs find the vectors in ")
    assert len(list(cache.rglob("*.npz"))) == 6
    rank_exemplars(planned())
    assert capsys.readouterr().err == ""


def test_a_broken_cache_is_made_again_with_one_line(log: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rank_exemplars(planned())
    for broken in cache.rglob("*.npz"):
        broken.write_bytes(broken.read_bytes()[:100])
    capsys.readouterr()
    after = rank_exemplars(planned())
    assert after.cells[0].nearest == before.cells[0].nearest
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # the queries' file, and the exemplars'
    assert all("is broken" in line for line in lines)
    assert noted(log) == {"load": 2, "embed": 56}
    rank_exemplars(planned())
    assert noted(log) == {"load": 2, "embed": 56}


def test_resuming_and_scoring_again_need_no_model(log: Path, cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whole = evaluate(**config(shots=[0, 2, 4]).model_dump(), output_path=folder)
    results = (folder / "results.json").read_bytes()
    shutil.rmtree(cache)
    log.write_text("", encoding="utf-8")
    resumed = prepare_resumed(folder, {})
    assert [cell.nearest for cell in resumed.plan.cells] == [cell.nearest for cell in reopen(folder).cells]
    assert execute(resumed).cells == whole.cells
    rescore(folder)
    assert noted(log) == {}
    assert (folder / "results.json").read_bytes() == results


def test_a_run_says_by_what_its_exemplars_were_chosen(tmp_path: Path) -> None:
    evaluate(**config().model_dump(), output_path=tmp_path / "run")
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    fingerprint = run["model"]["fingerprint"]
    vectors = {"model": "scripted", "fingerprint": fingerprint, "dtype": "float32"}
    assert run["exemplars"] == {"policy": "rices", "vectors": vectors}
    [cell] = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["cells"]
    assert cell["exemplar_seed"] is None


def test_drawn_exemplars_leave_no_trace(log: Path, cache: Path, tmp_path: Path) -> None:
    evaluate(**config(exemplars="per-sample").model_dump(), output_path=tmp_path / "drawn")
    evaluate(**config(shots=[0]).model_dump(), output_path=tmp_path / "zero")
    for name in ("drawn", "zero"):
        assert "exemplars" not in json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8"))
        assert not (tmp_path / name / "exemplars.jsonl").exists()
    assert noted(log) == {"load": 2}
    assert not cache.exists()


def test_several_processes_do_what_one_does(tmp_path: Path) -> None:
    one = evaluate(**config().model_dump(), output_path=tmp_path / "one")
    two = evaluate(**config().model_dump(), output_path=tmp_path / "two", processes=2)
    for name in ("results.json", "samples/letters@mini_4shot.jsonl"):
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()


def test_what_is_started_later_divides_the_cores_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    rank_exemplars(planned())
    assert "OMP_NUM_THREADS" not in os.environ


def test_validating_tries_the_prompts_that_are_chosen(log: Path) -> None:
    [found] = validate(config(shots=[0, 2], limit=4))
    assert noted(log) == {"load": 1, "embed": 18}
    assert {check.name: check.outcome for check in found.checks}["determinism"] == "pass"


def test_a_file_without_a_sample_or_with_an_unknown_one_is_refused(tmp_path: Path) -> None:
    prepared = prepare(config(), tmp_path / "run")
    execute(prepared)
    file = tmp_path / "run" / "exemplars.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    for broken, said in (
        (lines[1:], "expected 4 exemplars to be chosen for sample"),
        ([line.replace("10000", "90000") for line in lines], "expected a labelled item 90000 in the exemplar split"),
        (["{"], "exemplars.jsonl: expected a task, a key and its nearest exemplars on each line"),
        ([], "expected 4 exemplars to be chosen for sample"),
    ):
        file.write_text("".join(f"{line}\n" for line in broken), encoding="utf-8")
        with pytest.raises(DataError, match=said):
            prepare_resumed(tmp_path / "run", {})


def test_another_policy_is_another_run(tmp_path: Path) -> None:
    evaluate(**config().model_dump(), output_path=tmp_path / "run")
    with pytest.raises(UsageError, match="cannot resume with exemplars = 'fixed'"):
        prepare_resumed(tmp_path / "run", {"exemplars": "fixed"})


def test_a_model_without_embeddings_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"expected a model with image embeddings .*, got several, which has none"):
        rank_exemplars(planned(model="several"))


def test_a_task_without_pictures_is_refused_by_name() -> None:
    bare = partial(replace, image=None)
    with pytest.raises(UsageError, match=r"letters@mini: expected samples with pictures for --exemplars rices"):
        rank_exemplars(planned(bare))


def test_items_without_pictures_are_no_exemplars() -> None:
    def bare(sample: Any) -> Any:  # noqa: ANN401  of a plugin's class
        return replace(sample, image=None) if int(sample.key) >= 10_006 else sample

    assert all(int(each) < 10_006 for each in chosen(rank_exemplars(planned(bare)), "39"))
    with pytest.raises(DataError, match=r"letters: expected 7 exemplars for sample \d+, but .* only 6 labelled items"):
        rank_exemplars(planned(bare, shots=[7]))


def test_a_pool_without_labels_is_too_small() -> None:
    def unlabelled(sample: Any) -> Any:  # noqa: ANN401  of a plugin's class
        return replace(sample, labelled=int(sample.key) < 10_000)

    with pytest.raises(DataError, match=r"the exemplar split has only 0 labelled items"):
        rank_exemplars(planned(unlabelled))


def test_a_picture_that_cannot_be_read_is_named() -> None:
    def broken(sample: Any) -> Any:  # noqa: ANN401  of a plugin's class
        if int(sample.key) in {10_003, 10_030}:
            return replace(sample, image=Image.from_bytes(b"no picture", f"picture {sample.key}"))
        return sample

    with pytest.raises(DataError, match=r"image picture 10003: cannot be read .* of letters@mini in all: 2"):
        rank_exemplars(planned(broken))


def test_a_vector_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned()
    loaded: Any = type(plan.model.load(None))  # type: ignore[arg-type]  # it looks at no option
    monkeypatch.setattr(loaded, "embed", lambda _, images: (np.full(2, np.nan, np.float32) for _ in images))
    with pytest.raises(DataError, match=r"image square \d+: expected a vector of numbers from scripted"):
        rank_exemplars(plan)


def test_several_trials_are_refused() -> None:
    with pytest.raises(UsageError, match=r"trials: expected one trial with exemplars rices, .*, got 3"):
        config(trials=3)
    with pytest.raises(UsageError, match=r"trials: expected one trial"):
        config(trial_seeds=[1, 2])
