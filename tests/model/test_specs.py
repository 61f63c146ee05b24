from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.language_model import ModelOptions
from kosmos_eval.model.config import KOSMOS_TINY as TINY_CONFIG
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.specs import EMBEDDED, KOSMOS, KOSMOS_TINY, embedded_folder
from kosmos_eval.plugins import Plugins

if TYPE_CHECKING:
    from pathlib import Path

    from kosmos_eval.language_model import ModelSpec


def test_all_models_are_plugins() -> None:
    plugins = Plugins()
    assert plugins.model("kosmos") is KOSMOS
    for spec in EMBEDDED:
        assert plugins.model(spec.name) is spec
        assert spec.embedded


def test_knowing_the_models_needs_no_torch() -> None:
    code = "import sys, kosmos_eval.model.specs; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stated_facts_are_the_models() -> None:
    with torch.device("meta"):
        model = Kosmos(TINY_CONFIG)
    assert KOSMOS_TINY.facts["parameters"] == f"{sum(weight.numel() for weight in model.parameters()):,}"
    assert KOSMOS_TINY.facts["image_size"] == TINY_CONFIG.image_size
    for spec in EMBEDDED:
        assert {"parameters", "size", "training data", "seed"} <= spec.facts.keys()
        assert spec.fingerprint(ModelOptions()).startswith(spec.facts["fingerprint"])


def test_whether_a_model_reads_pictures_is_known_without_loading_it() -> None:
    assert {spec.name: spec.reads_pictures(ModelOptions()) for spec in EMBEDDED} == {
        "kosmos-tiny": True,
        "kosmos-tiny-base": True,
        "kosmos-tiny-lm": False,
    }
    text_only = ModelOptions(arguments={"pretrained": str(embedded_folder("kosmos-tiny-lm"))})
    assert not KOSMOS.reads_pictures(text_only)


@pytest.mark.parametrize("spec", [KOSMOS, *EMBEDDED])
@pytest.mark.parametrize("how", ["load", "fingerprint", "reads_pictures"])
def test_an_unknown_argument_is_an_error(spec: ModelSpec, how: str) -> None:
    with pytest.raises(UnknownNameError, match="no argument of model kosmos"):
        getattr(spec, how)(ModelOptions(arguments={"pretraind": "x"}))


@pytest.mark.parametrize("how", ["load", "fingerprint", "reads_pictures"])
def test_a_checkpoint_must_be_named_and_there(tmp_path: Path, how: str) -> None:
    with pytest.raises(UsageError, match="expected --model_args pretrained=FOLDER"):
        getattr(KOSMOS, how)(ModelOptions())
    with pytest.raises(UsageError, match="no such folder"):
        getattr(KOSMOS, how)(ModelOptions(arguments={"pretrained": str(tmp_path / "none")}))


def test_a_checkpoint_of_the_hub_is_looked_up_by_name_and_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def snapshot(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        assert "config.json" in allow_patterns
        return str(tmp_path)

    monkeypatch.setattr("kosmos_eval.model.hub_checkpoint.snapshot_download", snapshot)
    monkeypatch.setattr("kosmos_eval.model.checkpoint.check_folder", lambda *_, **__: None)
    monkeypatch.setattr("kosmos_eval.model.checkpoint.fingerprint", str)
    for arguments in ({"pretrained": "an-owner/a.name"}, {"pretrained": "an-owner/a.name", "revision": "1f2e"}):
        assert KOSMOS.fingerprint(ModelOptions(arguments=arguments)) == str(tmp_path)
    assert asked == [("an-owner/a.name", None), ("an-owner/a.name", "1f2e")]


def test_a_checkpoint_of_the_hub_that_cannot_be_had_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="model an-owner/a-name: is no folder here, is not in the local") as caught:
        KOSMOS.load(ModelOptions(arguments={"pretrained": "an-owner/a-name"}))
    assert "\n" not in str(caught.value)


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got a folder"):
        KOSMOS.load(ModelOptions(arguments={"pretrained": str(tmp_path), "revision": "main"}))


@pytest.mark.parametrize("spec", [KOSMOS, *EMBEDDED])
@pytest.mark.parametrize("how", ["load", "fingerprint"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device_map": "disk"}, "expected device_map to be auto"),
        ({"max_memory": "cpu:1GB"}, "max_memory to go with device_map=auto"),
        ({"device_map": "auto", "max_memory": "1GB"}, "such as 'cpu:2GiB;0:10GiB'"),
    ],
)
def test_a_malformed_placement_is_an_error_before_anything_is_loaded(
    spec: ModelSpec, how: str, arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        getattr(spec, how)(ModelOptions(arguments=arguments))


def test_the_fingerprint_does_not_depend_on_the_placement() -> None:
    plain = KOSMOS_TINY.fingerprint(ModelOptions())
    placed = ModelOptions(arguments={"device_map": "auto", "max_memory": "cpu:5MB", "offload_folder": "nowhere"})
    assert KOSMOS_TINY.fingerprint(placed) == plain


def test_a_checkpoint_of_the_hub_is_fetched_pickled_only_where_allowed_and_where_it_has_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def snapshot(_: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert revision is None
        asked.append("*.bin" in allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("kosmos_eval.model.hub_checkpoint.snapshot_download", snapshot)
    monkeypatch.setattr("kosmos_eval.model.checkpoint.check_folder", lambda *_, **__: None)
    monkeypatch.setattr("kosmos_eval.model.checkpoint.fingerprint", str)
    named = {"pretrained": "an-owner/a.name"}
    KOSMOS.fingerprint(ModelOptions(arguments=named))
    assert asked == [False]
    KOSMOS.fingerprint(ModelOptions(arguments={**named, "pickle": "allow"}))
    assert asked == [False, False, True]
    (tmp_path / "model.safetensors").write_bytes(b"")
    KOSMOS.fingerprint(ModelOptions(arguments={**named, "pickle": "allow"}))
    assert asked == [False, False, True, False]
