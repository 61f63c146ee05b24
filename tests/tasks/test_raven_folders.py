"""The readers of both kinds of folder: RAVEN's own archives, and pictures with an index."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, KosmosEvalError, UnknownNameError, UsageError
from kosmos_eval.prompt import Image
from kosmos_eval.tasks.raven import Raven, RavenSample

if TYPE_CHECKING:
    from pathlib import Path

# RAVEN's own files

XML = """<Data><Panels><Panel /></Panels><Rules>
<Rule_Group id="0"><Rule name="Constant" attr="Number/Position" /><Rule name="Progression" attr="Color" /></Rule_Group>
<Rule_Group id="1"><Rule name="Constant" attr="Number/Position" /><Rule name="Distribute_Three" attr="Color" />
</Rule_Group></Rules></Data>"""


def panels(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (16, 24, 24), dtype=np.uint8)


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
        ({"image": np.zeros((16, 8, 8), np.uint8, order="F"), "target": 0}, r"expected image to be 16 panels"),
        ({"image": np.zeros((16, 8), np.uint8), "target": 0}, r"expected image to be 16 panels"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": 8}, r"expected target to be a whole number from 0 to 7"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": -1}, r"whole number from 0 to 7, got -1"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": 0.5}, r"whole number from 0 to 7, got 0.5"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": [1, 2]}, r"from 0 to 7, got \[1, 2\]"),
        ({"image": np.zeros((16, 8, 8), np.uint8), "target": np.array([{}])}, r"cannot be read"),
        ({"image": np.zeros((16, 0, 8), np.uint8), "target": 0}, r"expected image to be 16 panels"),
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


def test_compressed_archives_are_read_too(official: Path) -> None:
    np.savez_compressed(official / "center_single" / "RAVEN_2_val.npz", image=panels(7), target=np.int64(5))
    sample = read(official)[0]
    assert sample.target == 5
    assert np.array_equal(np.asarray(sample.candidates[7].load())[:, :, 2], panels(7)[15])


def test_a_flipped_bit_among_the_pixels_is_noticed(official: Path) -> None:
    path = official / "center_single" / "RAVEN_2_val.npz"
    raw = bytearray(path.read_bytes())
    raw[4000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"RAVEN_2_val.npz panel 1[45]: cannot be read \(Bad CRC-32"):
        _ = read(official)[0].content


def test_a_misnamed_archive_is_refused(official: Path) -> None:
    (official / "RAVEN-7-val.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected a name like RAVEN_0_test.npz, got RAVEN-7-val.npz"):
        read(official)


def test_what_macos_packs_beside_archives_is_passed_over(official: Path) -> None:
    for name in ("center_single/._RAVEN_2_val.npz", "__MACOSX/center_single/._RAVEN_2_val.npz", "__MACOSX/x.npz"):
        (official / name).parent.mkdir(parents=True, exist_ok=True)
        (official / name).write_bytes(b"\0\5\26\7")
    assert len(read(official)) == 4


def test_two_sets_in_one_folder_are_not_mixed(official: Path) -> None:
    (official / "RAVEN").mkdir()
    (official / "center_single").rename(official / "RAVEN" / "center_single")
    (official / "distribute_four").rename(official / "RAVEN" / "distribute_four")
    assert len(read(official)) == 4
    shutil.copytree(official / "RAVEN" / "center_single", official / "I-RAVEN" / "center_single")
    with pytest.raises(DataError, match=r"expected one set, got center_single in I-RAVEN and in RAVEN; name one as"):
        read(official)


def test_a_folder_of_an_archive_s_name_is_refused(official: Path) -> None:
    (official / "RAVEN_7_val.npz").mkdir()
    with pytest.raises(DataError, match=r"RAVEN_7_val.npz: cannot be read .*; copy or unpack it again"):
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


def test_an_index_may_begin_with_a_byte_order_mark(pictures: Path) -> None:
    index = pictures / "index.jsonl"
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read(pictures)) == 4


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
