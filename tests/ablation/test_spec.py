from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kosmos_eval.ablation.presets import preset_names, read_preset
from kosmos_eval.ablation.spec import parse_spec, read_spec_file
from kosmos_eval.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

ARMS = ["tiny", "tiny:image=none", "other"]


def spec(**values: Any) -> Any:  # noqa: ANN401  a Spec, of whatever is given
    return parse_spec({"tasks": ["letters"], "arms": ARMS, **values}, "here")


def test_an_arm_is_a_model_or_a_model_under_a_control() -> None:
    found = spec()
    assert [(arm.name, arm.model, arm.control) for arm in found.arms] == [
        ("tiny", "tiny", ""),
        ("tiny:image=none", "tiny", "image=none"),
        ("other", "other", ""),
    ]
    assert found.arms[0].loaded == found.arms[1].loaded != found.arms[2].loaded


def test_the_first_arm_is_the_reference_unless_another_is_named() -> None:
    assert spec().reference == "tiny"
    assert spec(reference="other").reference == "other"


def test_folders_are_called_by_their_names_as_far_as_these_differ() -> None:
    found = spec(arms=["a/one/last", "b/two/last:image=none", "c/first", "b/two/last"], reference="b/two/last")
    assert [arm.name for arm in found.arms] == ["one/last", "two/last:image=none", "first", "two/last"]
    assert found.reference == "two/last"


def test_an_arm_may_have_a_name_and_arguments_of_its_own() -> None:
    tables = {
        "before": {"model": "a", "model_args": {"revision": "main"}},
        "after": {"model": "a", "model_args": {"revision": "next"}, "control": "image=blank"},
    }
    found = spec(arms=tables, model_args={"device_map": "auto"})
    assert [(arm.name, dict(arm.model_args), arm.control) for arm in found.arms] == [
        ("before", {"device_map": "auto", "revision": "main"}, ""),
        ("after", {"device_map": "auto", "revision": "next"}, "image=blank"),
    ]


def test_a_spec_comes_back_from_its_json() -> None:
    found = spec(shots=[0, 4], limit=20, groups=["kind"], title="T", settings={"letters": {"size": 9}}, seed=3)
    assert parse_spec(json.loads(json.dumps(found.to_json())), "there") == found


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"arms": ["tiny"]}, UsageError, "at least two arms"),
        ({"arms": []}, UsageError, "at least two arms"),
        ({"arms": {" ": {"model": "a"}, "y": {"model": "b"}}}, UsageError, "expected an arm to have a name"),
        ({"arms": "tiny"}, UsageError, "arms: expected a list of texts"),
        ({"arms": ["tiny", "other", "tiny"]}, UsageError, "each arm once, got tiny twice"),
        ({"arms": {"x": {"model": "a"}, "y": {"model": "a"}}}, UsageError, "arms that differ, got x and y"),
        ({"arms": ["tiny", "tiny:image=nothing"]}, UnknownNameError, "no control named 'image=nothing'"),
        ({"arms": {"x": {"modl": "a"}, "y": {"model": "a"}}}, UnknownNameError, "did you mean 'model'"),
        ({"arms": {"x": {"model": 3}, "y": {"model": "a"}}}, UsageError, "arms.x: expected model to name"),
        ({"arms": {"x": "a", "y": {"model": "a"}}}, UsageError, "arms.x: expected a table"),
        ({"arms": {"x": {"model": "a", "model_args": 1}, "y": {"model": "b"}}}, UsageError, "model_args a table"),
        ({"reference": "tinny"}, UnknownNameError, "did you mean 'tiny'"),
        ({"refrence": "tiny"}, UnknownNameError, "did you mean 'reference'"),
        ({"limits": 3}, UnknownNameError, "did you mean 'limit'"),
        ({"model": "tiny"}, UsageError, "the arms to say their model"),
        ({"controls": ["image=none"]}, UsageError, "the arms to say their controls"),
        ({"limit": -1}, UsageError, "here: limit"),
        ({"groups": "kind"}, UsageError, "groups: expected a list of texts"),
        ({"title": 3}, UsageError, "title: expected a text"),
        ({"preset": "image-encode"}, UnknownNameError, "did you mean 'image-encoder'"),
        ({"models": ["a"]}, UsageError, "models to go with a preset"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(values: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        spec(**values)


def test_every_preset_is_a_spec_with_a_question() -> None:
    assert preset_names() == ["image-encoder", "instruction-tuning", "mllm-vs-llm"]
    for name in preset_names():
        assert read_preset(name)["about"].endswith(".")
        found = parse_spec({"preset": name}, "here")
        assert found.reference == "kosmos-tiny"
        assert found.preset == name


def test_flags_win_over_a_preset() -> None:
    found = parse_spec({"preset": "image-encoder", "tasks": ["vizwiz"], "shots": [4]}, "here")
    assert found.run.tasks == ("vizwiz",)
    assert found.run.shots == (4,)
    assert len(found.arms) == 6


def test_a_presets_models_are_exchanged_in_their_order() -> None:
    found = parse_spec({"preset": "mllm-vs-llm", "models": ["runs/mine", "runs/text"]}, "here")
    assert [(arm.name, arm.model) for arm in found.arms] == [("mine", "runs/mine"), ("text", "runs/text")]
    assert found.reference == "mine"
    found = parse_spec({"preset": "image-encoder", "models": ["runs/mine"]}, "here")
    assert {arm.model for arm in found.arms} == {"runs/mine"}
    assert found.arms[1].name == "mine:image=none"


def test_a_preset_takes_as_many_models_as_it_has() -> None:
    with pytest.raises(UsageError, match="expected 2 models in place of kosmos-tiny, kosmos-tiny-lm, got 1"):
        parse_spec({"preset": "mllm-vs-llm", "models": ["a"]}, "here")


def test_arms_in_place_of_a_presets_bring_their_own_reference() -> None:
    found = parse_spec({"preset": "mllm-vs-llm", "arms": ["a", "b"]}, "here")
    assert found.reference == "a"
    assert found.groups == ("stated",)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    with pytest.raises(UsageError, match="which cannot be read"):
        read_spec_file(path)
    path.write_text("tasks = [", encoding="utf-8")
    with pytest.raises(UsageError, match=r"spec\.toml: expected the spec of an ablation as TOML"):
        read_spec_file(path)
