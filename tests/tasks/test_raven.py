"""The Raven benchmark: KOSMOS-1's prompt, the choice by P("Yes"), and the readers of both kinds of folder."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, KosmosEvalError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Image
from kosmos_eval.request import LogLikelihood, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.tasks.raven import Raven, RavenSample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAN, INF = float("nan"), float("inf")

ASKED = "Here are eight images:" + "<image>" * 8 + " The following image is:"


@pytest.fixture(scope="module")
def matrices() -> list[RavenSample]:
    return list(Raven().samples("val", Source("mini")))


def scored(logprobs: Sequence[float]) -> Scored:
    """A model's response: "Yes" is one token, of the given log-probability for each candidate."""
    return Scored(tuple(LogLikelihood((7,), (value,), 3, greedy=False) for value in logprobs))


def asked(
    sample: RavenSample, logprobs: Sequence[float], exemplars: Sequence[RavenSample] = ()
) -> tuple[ScoreRequest, tuple[float, ...]]:
    """Return the one request, and the answer made of the given response."""
    asking = Raven().ask(sample, exemplars)
    request = next(asking)
    assert isinstance(request, ScoreRequest)
    with pytest.raises(StopIteration) as stop:
        asking.send(scored(logprobs))
    return request, stop.value.value


def logprobs_for(best: int) -> list[float]:
    return [-1.0 if place == best else -3.0 for place in range(8)]


# The plugin


def test_the_plugin_is_well_formed() -> None:
    assert Plugins().task("raven") is Raven


# Asking


def test_the_prompt_is_the_papers(matrices: list[RavenSample]) -> None:
    request, _ = asked(matrices[0], logprobs_for(0))
    assert request.prompt.text() == ASKED
    assert request.prompt.images == matrices[0].context
    assert [each.lead.text() for each in request.continuations] == ["<image> Is it correct?"] * 8
    assert [each.lead.images for each in request.continuations] == [(each,) for each in matrices[0].candidates]
    assert {each.text for each in request.continuations} == {"Yes"}


def test_exemplars_are_solved_matrices_before_the_query(matrices: list[RavenSample]) -> None:
    request, _ = asked(matrices[0], logprobs_for(0), matrices[1:3])
    solved = f"{ASKED}<image> Is it correct? Yes "
    assert request.prompt.text() == solved + solved + ASKED
    assert request.prompt.images[8] == matrices[1].candidates[matrices[1].target or 0]
    assert request.prompt.images[-8:] == matrices[0].context


@pytest.mark.parametrize(
    ("count", "opening"),
    [
        (1, "Here is one image:"),
        (3, "Here are three images:"),
        (4, "Here are four images:"),
        (8, "Here are eight images:"),
        (17, "Here are 17 images:"),
    ],
)
def test_panels_are_counted_in_words(matrices: list[RavenSample], count: int, opening: str) -> None:
    panels = (matrices[0].context * 3)[:count]
    sample = RavenSample(key="few", context=panels, candidates=matrices[0].candidates, target=0)
    request, _ = asked(sample, logprobs_for(0))
    assert request.prompt.text() == opening + "<image>" * count + " The following image is:"


def test_exemplars_can_be_drawn_from_the_evaluated_split(matrices: list[RavenSample]) -> None:
    pool = ExemplarPool(matrices)
    drawn = pool.draw(matrices[0], 4, seed=0, task="raven")
    assert len({each.key for each in drawn} | {matrices[0].key}) == 5


# Scoring


def test_the_likeliest_candidate_is_the_answer_counted_from_one(matrices: list[RavenSample]) -> None:
    sample = matrices[0]
    assert sample.target is not None
    _, answer = asked(sample, logprobs_for(sample.target))
    score = Raven().score(sample, answer)
    assert (score.values, score.answer, score.target) == ({"accuracy": 1.0}, str(sample.target + 1), score.answer)
    assert score.margin == pytest.approx(2.0)
    wrong = Raven().score(sample, tuple(logprobs_for((sample.target + 1) % 8)))
    assert wrong.values == {"accuracy": 0.0}
    assert wrong.explanation == f"candidate {wrong.answer} is the likeliest, candidate {wrong.target} is right"


def test_candidates_that_tie_share_the_point(matrices: list[RavenSample]) -> None:
    right = matrices[0].target
    assert right is not None
    tied = [right, (right + 1) % 8, (right + 2) % 8]
    answer = tuple(-1.0 if place in tied else -2.0 for place in range(8))
    score = Raven().score(matrices[0], answer)
    assert score.values == {"accuracy": pytest.approx(1 / 3)}
    assert score.margin == 0.0
    assert score.answer == " or ".join(str(place + 1) for place in sorted(tied))
    assert "tie exactly" in score.explanation
    without = tuple(-1.0 if place in tied[1:] else -2.0 for place in range(8))
    assert Raven().score(matrices[0], without).values == {"accuracy": 0.0}


def test_a_model_that_cannot_tell_candidates_apart_is_at_chance(matrices: list[RavenSample]) -> None:
    values = [Raven().score(each, (-0.5,) * 8).values["accuracy"] for each in matrices]
    assert set(values) == {matrices[0].chance} == {1 / 8}


@pytest.mark.parametrize("spoilt", [NAN, INF, -INF])
def test_a_log_probability_that_is_not_finite_is_unparsed(matrices: list[RavenSample], spoilt: float) -> None:
    _, answer = asked(matrices[0], [-1.0, spoilt, *[-2.0] * 6])
    score = Raven().score(matrices[0], answer)
    assert (score.answer, score.margin, score.values) == (None, None, {"accuracy": 0.0})
    assert score.explanation == f"the log-probability of candidate 2 is {spoilt}"


def test_tokens_of_opposite_infinities_are_unparsed_too(matrices: list[RavenSample]) -> None:
    asking = Raven().ask(matrices[0], ())
    next(asking)
    torn = LogLikelihood((1, 2), (INF, -INF), 3, greedy=False)
    with pytest.raises(StopIteration) as stop:
        asking.send(Scored((torn,) * 8))
    assert Raven().score(matrices[0], stop.value.value).answer is None


def test_yes_of_several_tokens_counts_with_all_of_them(matrices: list[RavenSample]) -> None:
    asking = Raven().ask(matrices[0], ())
    next(asking)
    pair = LogLikelihood((1, 2), (-1.0, -0.5), 3, greedy=False)
    with pytest.raises(StopIteration) as stop:
        asking.send(Scored((pair,) * 8))
    assert stop.value.value == (-1.5,) * 8


def test_an_unlabelled_matrix_is_answered_and_not_scored(matrices: list[RavenSample]) -> None:
    sample = RavenSample(key="open", context=matrices[0].context, candidates=matrices[0].candidates, labelled=False)
    score = Raven().score(sample, tuple(logprobs_for(4)))
    assert (score.values, score.answer, score.target) == ({}, "5", "")


# The embedded matrices


def test_embedded_samples_carry_their_rules_as_breakdowns(matrices: list[RavenSample]) -> None:
    assert len(matrices) == 200
    sample = next(each for each in matrices if "position" in each.rules)
    assert sample.groups["panels"] == "8"
    assert sample.groups["configuration"] in {"2x2", "3x3"}
    assert sample.groups["position rule"] == sample.rules["position"]
    assert math.isclose(sample.chance or 0, 1 / 8)


def test_a_sample_has_a_content_that_covers_all_its_panels(matrices: list[RavenSample]) -> None:
    assert len(matrices[0].images) == 16
    assert len({each.content for each in matrices[:3]}) == 3


def test_an_unknown_embedded_split_is_refused() -> None:
    with pytest.raises(UsageError, match="expected the embedded data's train, val, test"):
        Raven().samples("dev", Source("mini"))


def test_the_hub_is_refused_with_a_cure() -> None:
    with pytest.raises(UsageError, match=r"download the files and name their folder \(--data DIR\)"):
        Raven().samples("val", Source("hub"))


# RAVEN's own files

XML = """<Data><Panels><Panel /></Panels><Rules>
<Rule_Group id="0"><Rule name="Constant" attr="Number/Position" /><Rule name="Progression" attr="Color" /></Rule_Group>
<Rule_Group id="1"><Rule name="Constant" attr="Number/Position" /><Rule name="Distribute_Three" attr="Color" />
</Rule_Group></Rules></Data>"""


def panels(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (16, 160, 160), dtype=np.uint8)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write a few of RAVEN's files, ids beginning anew in each folder."""
    for folder in ("center_single", "distribute_four"):
        (tmp_path / folder).mkdir()
        for number, split in ((0, "train"), (2, "val"), (10, "val"), (3, "test")):
            path = tmp_path / folder / f"RAVEN_{number}_{split}.npz"
            np.savez(path, image=panels(number), target=number % 8, structure=np.array([b"Scene", b"/"]))
    (tmp_path / "center_single" / "RAVEN_2_val.xml").write_text(XML)
    return tmp_path


def read(folder: Path, split: str = "val") -> list[RavenSample]:
    return list(Raven().samples(split, Source("folder", folder)))


def test_archives_are_read_by_folder_and_number(official: Path) -> None:
    samples = read(official)
    assert [sample.key for sample in samples] == [
        "center_single/RAVEN_2_val",
        "center_single/RAVEN_10_val",
        "distribute_four/RAVEN_2_val",
        "distribute_four/RAVEN_10_val",
    ]
    assert [sample.target for sample in samples] == [2, 2, 2, 2]
    assert all(sample.labelled for sample in samples)
    assert samples[0].groups["configuration"] == "center_single"


def test_the_panels_of_an_archive_are_its_images_in_order(official: Path) -> None:
    sample = read(official)[1]
    expected = panels(10)
    for place, image in enumerate((*sample.context, *sample.candidates)):
        assert np.array_equal(np.asarray(image.load())[:, :, 0], expected[place])
    assert (len(sample.context), len(sample.candidates)) == (8, 8)


def test_rules_are_read_from_the_xml_where_there_is_one(official: Path) -> None:
    samples = read(official)
    assert samples[0].rules == {
        "number/position": "constant + constant",
        "colour": "progression + distribute three",
    }
    assert samples[0].groups["colour rule"] == "progression + distribute three"
    assert samples[1].rules == {}


def test_an_archive_without_target_is_unlabelled(official: Path) -> None:
    np.savez(official / "center_single" / "RAVEN_2_val.npz", image=panels(0))
    sample = read(official)[0]
    assert (sample.labelled, sample.target) == (False, None)


def test_a_flat_folder_has_no_configuration(official: Path) -> None:
    samples = read(official / "center_single")
    assert [sample.key for sample in samples] == ["RAVEN_2_val", "RAVEN_10_val"]
    assert "configuration" not in samples[0].groups


def test_an_unknown_split_of_archives_is_refused(official: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no split of .* named 'tset'; did you mean 'test'"):
        read(official, "tset")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((15, 8, 8), np.uint8), "target": 0}, r"expected image to be 16 panels of uint8, got shape"),
        ({"image": np.zeros((16, 8, 8), np.float32), "target": 0}, r"of uint8, got shape \(16, 8, 8\) of float32"),
        ({"image": np.zeros((16, 8), np.uint8), "target": 0}, r"expected image to be 16 panels"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": 8}, r"expected target to be a whole number from 0 to 7"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": -1}, r"whole number from 0 to 7, got -1"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": 0.5}, r"whole number from 0 to 7, got 0.5"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": [1, 2]}, r"from 0 to 7, got \[1, 2\]"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": np.array([{}])}, r"cannot be read"),
        ({"target": 0}, r"cannot be read"),
    ],
)
def test_an_archive_of_other_arrays_is_refused(official: Path, arrays: dict[str, Any], message: str) -> None:
    path = official / "center_single" / "RAVEN_10_val.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=message) as error:
        read(official)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("raw", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_a_corrupt_archive_is_refused_by_name(official: Path, raw: bytes) -> None:
    (official / "distribute_four" / "RAVEN_2_val.npz").write_bytes(raw)
    with pytest.raises(DataError, match=r"RAVEN_2_val.npz: cannot be read .*; copy or unpack it again"):
        read(official)


def test_an_archive_that_is_cut_off_after_it_was_listed_is_an_error_that_names_the_panel(official: Path) -> None:
    sample = read(official)[0]
    (official / "center_single" / "RAVEN_2_val.npz").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"RAVEN_2_val.npz panel 0: cannot be read"):
        sample.context[0].load()
    (official / "center_single" / "RAVEN_2_val.npz").unlink()
    with pytest.raises(DataError, match=r"RAVEN_2_val.npz panel 0: no such file"):
        sample.context[0].load()


def test_a_misnamed_archive_is_refused(official: Path) -> None:
    (official / "RAVEN-7-val.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected a name like RAVEN_0_test.npz, got RAVEN-7-val.npz"):
        read(official)


@pytest.mark.parametrize("text", ["<Data>", "", "<Data><Rules><Rule_Group><Rule/></Rule_Group></Rules></Data>"])
def test_a_corrupt_xml_is_refused(official: Path, text: str) -> None:
    (official / "center_single" / "RAVEN_2_val.xml").write_text(text)
    with pytest.raises(DataError, match=r"RAVEN_2_val.xml: its rules cannot be read .*remove it to do without"):
        read(official)


# Pictures with an index


def record(number: int, **changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": number,
        "context": [f"{number}/{place}.png" for place in range(3)],
        "candidates": [f"{number}/{place}.png" for place in range(3, 9)],
        "target": number % 6,
    }
    return {name: value for name, value in (fields | changes).items() if value != "absent"}


def write_index(folder: Path, *records: object) -> None:
    (folder / "index.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write four matrices of three panels and six candidates, as in KOSMOS-1's set."""
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        for place in range(9):
            PIL.Image.new("L", (8, 8), number * 9 + place).save(tmp_path / str(number) / f"{place}.png")
    write_index(tmp_path, *map(record, range(4)))
    return tmp_path


def test_an_index_is_read_in_its_order(pictures: Path) -> None:
    write_index(pictures, record(3), record(1, id="b"), record(2))
    samples = read(pictures)
    assert [sample.key for sample in samples] == ["3", "b", "2"]
    assert [sample.target for sample in samples] == [3, 1, 2]
    assert samples[1].context[2] == Image.from_file(pictures / "1" / "2.png")
    assert (len(samples[0].candidates), samples[0].chance, samples[0].groups) == (6, 1 / 6, {"panels": "3"})


def test_a_list_of_records_is_read_alike(pictures: Path) -> None:
    expected = [sample.content for sample in read(pictures)]
    (pictures / "index.jsonl").unlink()
    (pictures / "index.json").write_text(json.dumps([record(number) for number in range(4)]))
    assert [sample.content for sample in read(pictures)] == expected


@pytest.mark.parametrize("target", [None, "absent"])
def test_a_record_without_target_is_unlabelled(pictures: Path, target: object) -> None:
    write_index(pictures, record(0, target=target), record(1))
    assert [sample.labelled for sample in read(pictures)] == [False, True]


def test_splits_are_kept_apart(pictures: Path) -> None:
    write_index(pictures, record(0, split="train"), record(1, split="val"), record(2, split="train"))
    assert [sample.key for sample in read(pictures, "train")] == ["0", "2"]
    assert [sample.key for sample in read(pictures, "val")] == ["1"]
    with pytest.raises(UnknownNameError, match=r"no split of .* named 'test'"):
        read(pictures, "test")


def test_a_set_without_splits_is_all_to_be_evaluated_and_says_where_exemplars_can_come_from(pictures: Path) -> None:
    assert len(read(pictures, "val")) == len(read(pictures, "test")) == 4
    with pytest.raises(UsageError, match=r"names no splits.*--set raven.exemplar_split=val"):
        read(pictures, "train")


def test_rules_and_configuration_become_breakdowns(pictures: Path) -> None:
    write_index(pictures, record(0, rules={"type": "progression"}, configuration="figures"))
    assert read(pictures)[0].groups == {"panels": "3", "configuration": "figures", "type rule": "progression"}


BAD = [
    ([record(0), record(0)], r"line 2: expected each \"id\" once, got '0' again"),
    ([record(0), record(1, id="0")], r"line 2: expected each \"id\" once, got '0' again"),
    ([record(0, target=6)], r"line 1: expected \"target\" from 0 to 5, got 6; it counts from 0"),
    ([record(0, target=-1)], r"expected \"target\" from 0 to 5, got -1"),
    ([record(0, target="2")], r"expected \"target\" to be a whole number, got \"2\""),
    ([record(0, target=True)], r"expected \"target\" to be a whole number, got true"),
    ([record(0, id=None)], r"expected \"id\" to be a text, got null"),
    ([record(0, id="absent")], r"line 1: expected \"id\", got only"),
    ([record(0, context="absent")], r"line 1: expected \"context\", got only"),
    ([record(0, context=[])], r"expected \"context\" to list at least 1 names of pictures, got \[\]"),
    ([record(0, candidates=["0/3.png"])], r"expected \"candidates\" to list at least 2 names"),
    ([record(0, candidates=["0/3.png", 4])], r"expected \"candidates\" to list at least 2 names"),
    (
        [record(0, candidates=["0/3.png", "0/99.png"])],
        r"expected the picture 0/99.png of \"candidates\" in .*copy it there",
    ),
    ([record(0, rules=["type"])], r"expected \"rules\" to be an object"),
    ([record(0, rules={"type": 1})], r"expected \"rules\" to give a text for each attribute"),
    ([record(0, answer=2)], r"expected only candidates, .*, got \"answer\"; remove or rename it"),
    (
        [record(0), record(1, split="val")],
        r"expected every record to name its \"split\" as others do, record '0' does not",
    ),
    (["text"], r"line 1: expected an object, got 'text'"),
    ([], r"expected at least one record, got none"),
]


@pytest.mark.parametrize(("records", "message"), BAD)
def test_a_bad_record_is_refused_with_its_place_and_a_cure(pictures: Path, records: list[object], message: str) -> None:
    write_index(pictures, *records)
    with pytest.raises(DataError, match=message) as error:
        read(pictures)
    assert str(pictures / "index.jsonl") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_line_that_is_no_json_is_refused_by_its_number(pictures: Path) -> None:
    with (pictures / "index.jsonl").open("a") as file:
        file.write('\n{"id": 5\n')
    with pytest.raises(DataError, match=r"line 6 is not valid JSON .*; write one record on each line"):
        read(pictures)


def test_two_indexes_are_one_too_many(pictures: Path) -> None:
    (pictures / "index.json").write_text("[]")
    with pytest.raises(DataError, match=r"expected one of index.jsonl and index.json, got both; remove one"):
        read(pictures)


@pytest.mark.parametrize("text", ["{}", "null", ""])
def test_an_index_that_is_no_list_is_refused(pictures: Path, text: str) -> None:
    (pictures / "index.jsonl").unlink()
    (pictures / "index.json").write_text(text)
    with pytest.raises(KosmosEvalError, match="expected"):
        read(pictures)


def test_an_empty_folder_is_refused_with_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected RAVEN's own files .*, found none"):
        read(tmp_path)
