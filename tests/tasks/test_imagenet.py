"""ImageNet: names of classes, the layouts that people have, and free and constrained answers."""

from __future__ import annotations

import json
import math
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import datasets
import numpy as np
import PIL.Image
import pytest
import scipy.io

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Generated, LogLikelihood, Request, Response, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.tasks.imagenet import ImageNet, ImageNetSample
from kosmos_eval.tasks.imagenet.sample import Match, share_in_top

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kosmos_eval.task import Score

# Two classes are called crane. The development kit numbers the classes in an order of its own.
CLASSES = {
    "n01440764": "tench, Tinca tinca",
    "n02012849": "crane",
    "n02119789": "kit fox, Vulpes macrotis",
    "n03126707": "crane",
}
NAMES = ("tench", "crane", "kit fox", "crane")
KIT_ORDER = ("n02119789", "n03126707", "n01440764", "n02012849")
PICTURES = {1: "n02119789", 2: "n01440764", 3: "n03126707", 4: "n01440764", 5: "n02012849"}
TARGETS = [2, 0, 3, 0, 1]
KEYS = [f"ILSVRC2012_val_{number:08d}" for number in PICTURES]


def save(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 8), (shade, 2 * shade, 90)).save(path, format="PNG" if path.suffix == ".png" else "JPEG")


def write_mapping(folder: Path) -> None:
    lines = "".join(f"{wnid} {words}\n" for wnid, words in CLASSES.items())
    (folder / "LOC_synset_mapping.txt").write_text(lines, encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write a sub-folder a class, with a class-name file."""
    write_mapping(tmp_path)
    for number, wnid in PICTURES.items():
        save(tmp_path / "val" / wnid / f"ILSVRC2012_val_{number:08d}.JPEG", 10 * number)
        for place in range(3):
            save(tmp_path / "train" / wnid / f"{wnid}_{place}.JPEG", 100 + 10 * number + place)
    return tmp_path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Write photographs beside each other, with class names and without labels."""
    write_mapping(tmp_path)
    for number in PICTURES:
        save(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", 10 * number)
    return tmp_path


def write_kit(folder: Path) -> None:
    """Write the development kit as MATLAB does, a node of WordNet that is no class included."""
    kinds: list[tuple[str, Any]] = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(number, wnid, CLASSES[wnid], 0) for number, wnid in enumerate(KIT_ORDER, start=1)]
    synsets = np.array([*rows, (5, "n00001740", "entity", 2)], dtype=kinds)
    folder.mkdir(parents=True)
    scipy.io.savemat(folder / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    truth = "".join(f"{KIT_ORDER.index(wnid) + 1}\n" for wnid in PICTURES.values())
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(truth, encoding="utf-8")


def read(folder: Path, split: str = "val", task: ImageNet = ImageNet()) -> list[ImageNetSample]:  # noqa: B008  frozen
    return list(task.samples(split, Source("folder", folder)))


def check(samples: Sequence[ImageNetSample]) -> None:
    assert [sample.key for sample in samples] == KEYS
    assert [sample.target for sample in samples] == TARGETS
    assert {sample.names for sample in samples} == {"\n".join(NAMES)}


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("imagenet") is ImageNet


def test_a_sub_folder_a_class_is_read_in_the_order_of_the_keys(tree: Path) -> None:
    check(read(tree))
    assert read(tree)[0].image.load().size == (8, 8)
    assert read(tree)[0].image.name.endswith("val/n02119789/ILSVRC2012_val_00000001.JPEG")


def test_only_the_first_of_each_class_are_there_to_draw_exemplars_from(tree: Path) -> None:
    train = read(tree, "train", task=ImageNet(exemplars_per_class=2))
    assert [sample.key for sample in train] == sorted(f"{wnid}_{place}" for wnid in CLASSES for place in (0, 1))
    assert len(read(tree, "train", ImageNet(split="train"))) == 12


def test_what_is_no_photograph_is_passed_over(tree: Path) -> None:
    for name in (".DS_Store", "val/.DS_Store", "val/n01440764/._ILSVRC2012_val_00000002.JPEG", "val/n01440764/x.xml"):
        (tree / name).write_bytes(b"x")
    (tree / "val" / "n01440764" / "ILSVRC2012_val_00000002.JPEG").rename(
        tree / "val" / "n01440764" / "ILSVRC2012_val_00000002.jpg"
    )
    check(read(tree))


@pytest.mark.parametrize("place", ["ILSVRC/Data/CLS-LOC/val", "imagenet/val", "validation", "ILSVRC2012_img_val"])
def test_the_photographs_are_found_where_archives_put_them(tree: Path, place: str) -> None:
    (tree / place).parent.mkdir(parents=True, exist_ok=True)
    (tree / "val").rename(tree / place)
    check(read(tree))


def test_the_archive_may_be_unpacked_beside_the_development_kit(flat: Path) -> None:
    (flat / "LOC_synset_mapping.txt").unlink()
    write_kit(flat / "ILSVRC2012_devkit_t12" / "data")
    (flat / "notes.png").write_bytes(b"x")
    for path in (flat / "val").iterdir():
        path.rename(flat / path.name)
    (flat / "val").rmdir()
    check(read(flat))
    with pytest.raises(DataError, match=r"expected train in .*, found none; unpack ILSVRC2012's photographs there"):
        read(flat, "train")


def test_names_of_files_that_repeat_are_told_apart_by_their_folder(tree: Path) -> None:
    for path in (tree / "val").glob("*/*.JPEG"):
        if path.name != "ILSVRC2012_val_00000004.JPEG":
            path.rename(path.with_name("0.JPEG"))
    assert [sample.key for sample in read(tree)][:2] == ["n01440764/0", "n01440764/ILSVRC2012_val_00000004"]


def test_kaggle_s_labels_go_with_photographs_beside_each_other(flat: Path) -> None:
    rows = [f"{key},{wnid} 85 1 499 272 {wnid} 1 2 3 4 " for key, wnid in zip(KEYS, PICTURES.values(), strict=True)]
    table = "ImageId,PredictionString\r\n" + "\r\n".join(reversed(rows)) + "\r\n"
    (flat / "LOC_val_solution.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    check(read(flat))


def test_the_development_kit_s_own_numbers_are_not_taken_for_the_order_of_the_ids(flat: Path) -> None:
    write_kit(flat / "ILSVRC2012_devkit_t12" / "data")
    check(read(flat))
    (flat / "LOC_synset_mapping.txt").unlink()
    check(read(flat))  # the kit has the names, too
    (flat / "classnames.txt").write_text("\n".join(NAMES), encoding="utf-8")
    check(read(flat))  # names without ids are in the order of the kit's sorted ids
    (flat / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").unlink()
    with pytest.raises(DataError, match=r"expected meta\.mat beside it, .* not the order of the ids"):
        read(flat)


@pytest.mark.parametrize("kept", [0, 100, 700])
def test_a_broken_kit_is_an_error_that_names_it(flat: Path, kept: int) -> None:
    write_kit(flat / "data")
    meta = flat / "data" / "meta.mat"
    meta.write_bytes(meta.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"meta\.mat: expected the synsets of ILSVRC2012's development kit"):
        read(flat)
    meta.write_bytes(b"no MATLAB file" * 20)
    with pytest.raises(DataError, match=r"meta\.mat: expected the synsets of ILSVRC2012's development kit"):
        read(flat)


@pytest.mark.parametrize("name", ["val.txt", "val_map.txt", "other.tsv"])
@pytest.mark.parametrize("by_id", [True, False])
def test_a_line_a_photograph_labels_it_by_place_or_id(flat: Path, name: str, *, by_id: bool) -> None:
    ids = list(CLASSES)
    labels = PICTURES.values() if by_id else [ids.index(wnid) for wnid in PICTURES.values()]
    lines = [f"val/{key}.JPEG\t{label}" for key, label in zip(KEYS, labels, strict=True)]
    (flat / name).write_text("\n".join(lines), encoding="utf-8")
    check(read(flat, task=ImageNet(labels=name if name == "other.tsv" else "")))


def test_ids_alone_are_in_the_order_of_the_photographs(flat: Path) -> None:
    (flat / "synset_labels.txt").write_text("\n".join(PICTURES.values()) + "\n", encoding="utf-8")
    check(read(flat))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("synset_words.txt", "".join(f"{wnid}\t{words}\r\n" for wnid, words in reversed(CLASSES.items()))),
        (
            "imagenet_class_index.json",
            {str(k): [w, n.replace(" ", "_")] for k, (w, n) in enumerate(zip(CLASSES, NAMES, strict=True))},
        ),
        ("imagenet_classes.txt", "\n".join(NAMES) + "\n\n"),
        ("names.json", list(NAMES)),
        ("names.json", {str(place): name for place, name in enumerate(NAMES)}),
        ("names.json", CLASSES),
        ("names.json", {wnid: words.split(", ") for wnid, words in CLASSES.items()}),
    ],
)
def test_names_of_classes_are_read_from_the_files_that_people_have(tree: Path, name: str, content: object) -> None:
    (tree / "LOC_synset_mapping.txt").unlink()
    (tree / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    check(read(tree, task=ImageNet(class_names=name)))
    if name != "names.json":
        check(read(tree))


def test_the_class_s_name_is_the_first_or_all_of_its_names(tree: Path) -> None:
    assert read(tree)[1].name == "tench"
    assert read(tree, task=ImageNet(synonyms="all"))[1].name == "tench, Tinca tinca"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "got an empty file"),
        ("n01440764 tench\nn01440764 crane\n", "expected each class once, got n01440764 twice"),
        ("n01440764 tench\ncrane\n", "got 'crane' without one"),
        ("n01440764 tench\nn02012849\n", "line 2: expected a name behind n02012849"),
        ("n01440764 , tench\n", "expected a name for class n01440764"),
        ("{0: 'tench, Tinca tinca',\n 1: 'crane'}", "expected a name on each line, got"),
        ("n01440764 tench\n", "expected a sub-folder for each id of .*, got n02012849"),
        ("tench\n", "expected 1 sub-folders, one for each name of .*, got 4"),
    ],
)
def test_a_bad_file_of_names_is_one_line_that_says_what_is_wrong(tree: Path, content: str, message: str) -> None:
    (tree / "LOC_synset_mapping.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as raised:
        read(tree)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [{}, {"1": "tench"}, [["tench"], 3], [[]], "tench"])
def test_json_that_holds_no_names_is_an_error(tree: Path, content: object) -> None:
    (tree / "names.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"names\.json: expected "):
        read(tree, task=ImageNet(class_names="names.json"))


def test_missing_files_are_named_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"LOC_synset_mapping\.txt in .*imagenet\.class_names=FILE"):
        read(tmp_path)
    write_mapping(tmp_path)
    with pytest.raises(DataError, match=r"expected val in .*; unpack ILSVRC2012's photographs"):
        read(tmp_path)
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected LOC_val_solution\.csv in .*imagenet\.labels=FILE"):
        read(tmp_path)


@pytest.mark.parametrize("is_file", [False, True])
def test_an_empty_folder_or_a_file_in_its_place_is_an_error(tree: Path, *, is_file: bool) -> None:
    shutil.rmtree(tree / "val")
    if is_file:
        (tree / "val").touch()
    else:
        (tree / "val").mkdir()
    with pytest.raises(DataError, match=r"/val: expected photographs \(\.bmp, .*\), found none; unpack them there"):
        read(tree)


def test_an_empty_sub_folder_and_a_mixture_are_errors(tree: Path) -> None:
    (tree / "val" / "ILSVRC2012_val_00000009.JPEG").write_bytes(b"x")
    with pytest.raises(DataError, match=r"got both \(ILSVRC2012_val_00000009\.JPEG, n01440764/\)"):
        read(tree)
    (tree / "val" / "ILSVRC2012_val_00000009.JPEG").unlink()
    (tree / "val" / "n02119789" / "ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(DataError, match=r"n02119789: expected photographs .*, found none"):
        read(tree)


def test_a_photograph_twice_is_an_error(tree: Path) -> None:
    save(tree / "val" / "n01440764" / "ILSVRC2012_val_00000002.png", 3)
    with pytest.raises(DataError, match=r"each photograph once, got n01440764/ILSVRC2012_val_00000002 twice"):
        read(tree)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (lambda lines: lines[:-1], r"expected a label of ILSVRC2012_val_00000005\.JPEG, got none \(1 have none\)"),
        (lambda lines: [*lines, "x.JPEG 1", "y.JPEG 1"], r"expected photograph x in .* \(2 missing\)"),
        (lambda lines: [*lines, lines[0]], r"line 6: expected each photograph once, got ILSVRC2012_val_00000001 twice"),
        (lambda lines: [*lines[:-1], f"{KEYS[4]}.JPEG 4"], r"line 5: expected the label of a class"),
        (lambda lines: [*lines[:-1], f"{KEYS[4]}.JPEG"], r"line 5: expected the label of a class"),
        (lambda lines: [*lines[:-1], f"{KEYS[4]}.JPEG n00000000"], r"line 5: expected the label of a class"),
    ],
)
def test_labels_that_do_not_fit_are_an_error_that_names_the_line(
    flat: Path, lines: Callable[[list[str]], list[str]], message: str
) -> None:
    good = [f"{key}.JPEG {target}" for key, target in zip(KEYS, TARGETS, strict=True)]
    (flat / "val.txt").write_text("\n".join(lines(good)), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(flat)


def test_ids_need_names_with_ids(flat: Path) -> None:
    (flat / "LOC_synset_mapping.txt").write_text("\n".join(NAMES), encoding="utf-8")
    (flat / "synset_labels.txt").write_text("\n".join(PICTURES.values()), encoding="utf-8")
    with pytest.raises(DataError, match=r"got 'n02119789'; its names have no ids: use LOC_synset_mapping\.txt"):
        read(flat)


def test_an_unknown_split_or_value_is_an_error(tree: Path) -> None:
    with pytest.raises(UnknownNameError, match="no split of imagenet named 'vals'; did you mean 'val'"):
        read(tree, "vals")
    with pytest.raises(UnknownNameError, match=r"no value of imagenet\.match named 'fold'; did you mean 'folded'"):
        ImageNet(match="fold")  # type: ignore[arg-type]  # as a user may type it
    with pytest.raises(UsageError, match="num_beams to be at least 1, got 0"):
        ImageNet(num_beams=0)
    with pytest.raises(UsageError, match="stop"):
        ImageNet(stop=("",))


class Asked(NamedTuple):
    requests: list[Any]
    score: Score


def asked(task: ImageNet, sample: ImageNetSample, *responses: Response, shots: Sequence[ImageNetSample] = ()) -> Asked:
    """Return the requests, and the score of what the responses amount to."""
    asking, requests, answers = task.ask(sample, shots), list[Request](), iter(responses)
    try:
        requests.append(next(asking))
        while True:
            requests.append(asking.send(next(answers)))
    except StopIteration as stopped:
        return Asked(requests, task.score(sample, stopped.value))


def wrote(text: str) -> Generated:
    return Generated(text, (5, 2), (-0.1, -0.2), "eos")


def weighed(*weights: float) -> Scored:
    return Scored(tuple(LogLikelihood((5,), (weight,), 5, greedy=False) for weight in weights))


def photograph(target: int | None = 0, names: tuple[str, ...] = NAMES) -> ImageNetSample:
    image = Image(lambda: PIL.Image.new("RGB", (2, 2)), "photograph")
    return ImageNetSample(key="p", image=image, names="\n".join(names), target=target)


def test_the_prompt_is_kosmos_1_s_with_two_beams() -> None:
    sample = photograph()
    (request,), _ = asked(ImageNet(), sample, wrote("tench"))
    prompt = Prompt.of(sample.image, "The photo of the")
    assert request == Generate(prompt, max_new_tokens=16, stop=("\n", "The photo of"), num_beams=2)


def test_exemplars_stand_in_front_with_their_class_s_name() -> None:
    (request,), _ = asked(ImageNet(separator=". "), photograph(), wrote("tench"), shots=[photograph(2)])
    assert request.prompt.text() == "<image>The photo of the kit fox. <image>The photo of the"


def test_a_constrained_answer_is_one_of_the_distinct_names_and_all_are_weighed_for_top_5() -> None:
    (written, weighing), score = asked(ImageNet(constrained=True), photograph(), wrote("tench"), weighed(-3, -1, -2))
    options = ("tench", "crane", "kit fox")
    assert (written.constraint, written.num_beams, written.stop) == (options, 2, ())
    assert written.max_new_tokens > len("kit fox")
    assert weighing == ScoreRequest(written.prompt, tuple(map(Continuation, options)))
    assert score.values == {"top1": 1.0, "top5": 1.0}


def test_top_5_can_be_left_out_and_free_text_has_none() -> None:
    for task in (ImageNet(), ImageNet(constrained=True, top5=False)):
        requests, score = asked(task, photograph(), wrote("tench"))
        assert len(requests) == 1
        assert [metric.name for metric in task.metrics] == list(score.values) == ["top1"]
    assert [metric.name for metric in ImageNet(constrained=True).metrics] == ["top1", "top5"]


def test_the_likeliest_of_all_names_can_be_the_answer() -> None:
    task = ImageNet(constrained=True, constrained_by="scoring", top5=False)
    (request,), score = asked(task, photograph(2), weighed(-3, -2, -1))
    assert isinstance(request, ScoreRequest)
    assert (score.answer, score.margin, score.values) == ("kit fox", 1.0, {"top1": 1.0, "top5": 1.0})


MANY = tuple(f"name {place}" for place in range(8))


def top5(target: int, text: str | None, *weights: float) -> float:
    task = ImageNet(constrained=True, constrained_by="beam" if text else "scoring")
    responses = [wrote(text)] if text else []
    score: Score = asked(task, photograph(target, MANY), *responses, weighed(*weights))[1]
    return score.values["top5"]


def test_top_5_counts_the_answer_and_the_four_likeliest_others() -> None:
    falling = tuple(-float(place) for place in range(8))
    assert [top5(target, None, *falling) for target in range(8)] == [1, 1, 1, 1, 1, 0, 0, 0]
    assert [top5(target, "name 7", *falling) for target in range(8)] == [1, 1, 1, 1, 0, 0, 0, 1]
    assert [top5(target, "name 1", *falling) for target in range(8)] == [1, 1, 1, 1, 1, 0, 0, 0]


def test_names_that_tie_for_the_last_place_share_it() -> None:
    assert top5(5, None, -1, -1, -1, -1, -2, -2, -3, -3) == 0.5
    assert top5(7, None, *(-1.0,) * 8) == pytest.approx(5 / 8)


@pytest.mark.parametrize("right", [{3}, {3, 4}, {0, 7}])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_share_is_what_random_orders_of_ties_give(right: set[int], k: int) -> None:
    weights = (-1.0, -1.0, -2.0, -2.0, -2.0, -2.0, -3.0, -3.0)
    draw, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        order = np.lexsort((draw.random(8), np.negative(weights)))
        hits += not right.isdisjoint(order[:k].tolist())
    assert share_in_top(weights, frozenset(right), k) == pytest.approx(hits / 2000, abs=0.05)


@pytest.mark.parametrize(
    ("text", "match", "value", "answer"),
    [
        ("tench", "folded", 1.0, "tench"),
        (" Tench.\n", "folded", 1.0, "Tench."),
        ("Tench.", "exact", 0.0, "Tench."),
        ("  tench ", "exact", 1.0, "tench"),
        ("tench in the water", "folded", 0.0, "tench in the water"),
        ("crane", "folded", 0.0, "crane"),
        ("", "folded", 0.0, None),
        (" . ", "folded", 0.0, None),
    ],
)
def test_free_text_must_be_the_class_s_name(text: str, match: Match, value: float, answer: str | None) -> None:
    score = asked(ImageNet(match=match), photograph(), wrote(text))[1]
    assert (score.values, score.answer, score.target) == ({"top1": value}, answer, "tench")


@pytest.mark.parametrize("target", [1, 3])
def test_a_name_that_classes_share_is_right_for_each_of_them_and_that_is_said(target: int) -> None:
    score = asked(ImageNet(), photograph(target), wrote("crane"))[1]
    assert score.values == {"top1": 1.0}
    assert score.explanation == "the class's name; 2 classes share the name 'crane'"
    assert asked(ImageNet(), photograph(0), wrote("crane"))[1].explanation == "the name of another class"
    assert asked(ImageNet(), photograph(0), wrote("craned"))[1].explanation == "no class has this name"


def test_names_that_differ_in_case_only_are_one_name_unless_they_are_to_be_exact() -> None:
    names = ("Cardigan", "cardigan", "tench")
    task = ImageNet(constrained=True, constrained_by="scoring")
    score = asked(task, photograph(0, names), weighed(-2, -1, -3))[1]
    assert score.values["top1"] == 1.0
    exact = ImageNet(constrained=True, constrained_by="scoring", match="exact")
    assert asked(exact, photograph(0, names), weighed(-2, -1, -3))[1].values["top1"] == 0.0


def test_samples_are_grouped_by_whether_their_class_shares_its_name(tree: Path) -> None:
    groups = [sample.groups["class name"] for sample in read(tree)]
    shared = "shared with another class"
    assert groups == ["its own", "its own", shared, "its own", shared]


def test_chance_is_one_of_the_distinct_names_and_unknown_for_free_text(tree: Path) -> None:
    assert {sample.chance for sample in read(tree, task=ImageNet(constrained=True))} == {1 / 3}
    assert {sample.chance for sample in read(tree)} == {None}


def test_a_constrained_answer_that_is_no_name_is_unparsed() -> None:
    score = asked(ImageNet(constrained=True), photograph(), wrote("kit"), weighed(-1, -2, -3))[1]
    assert (score.answer, score.values) == (None, {"top1": 0.0, "top5": 0.0})
    assert score.explanation == "'kit' is none of the names"


def test_likelihoods_that_are_not_finite_are_unparsed() -> None:
    task = ImageNet(constrained=True, constrained_by="scoring")
    score = asked(task, photograph(), weighed(-1, math.nan, -3))[1]
    assert (score.answer, score.values) == (None, {"top1": 0.0, "top5": 0.0})
    assert "'crane' is not finite" in score.explanation
    beam = asked(ImageNet(constrained=True), photograph(), wrote("tench"), weighed(-1, math.nan, -3))[1]
    assert beam.values == {"top1": 1.0, "top5": 1.0}


def test_the_perfect_answer_is_the_class_s_name_or_its_place() -> None:
    sample = photograph(3)
    (written, weighing), _ = asked(ImageNet(constrained=True), sample, wrote("tench"), weighed(-1, -2, -3))
    assert [ImageNet().gold(sample, request) for request in (written, weighing)] == ["crane", 1]


@pytest.fixture
def parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the columns that ILSVRC/imagenet-1k is remembered to have."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hub"
    (folder / "data").mkdir(parents=True)
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=[*list(CLASSES.values())[:3], "house"])}
    pictures = [PIL.Image.new("RGB", (8, 8), (10 * number, 0, 0)) for number in range(6)]
    for split, labels in (("validation", [2, 0, 3, 0, 1, -1]), ("train", [0, 0, 0, 1, 2, 3])):
        table = datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=datasets.Features(kinds))
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def test_the_hub_s_rows_have_the_dataset_s_own_names(parquet: Path) -> None:
    task = ImageNet(hub_id=str(parquet), exemplars_per_class=2)
    samples = list(task.samples("val", Source("hub")))
    assert [sample.target for sample in samples] == [2, 0, 3, 0, 1, None]
    assert [sample.labelled for sample in samples] == [True] * 5 + [False]
    assert samples[0].names == "tench\ncrane\nkit fox\nhouse"
    assert samples[3].key == "validation_00000003"
    assert [sample.target for sample in task.samples("train", Source("hub"))] == [0, 0, 1, 2, 3]
    assert asked(task, samples[5], wrote("tench"))[1].values == {}


def test_the_hub_s_rows_can_have_the_names_of_a_file(parquet: Path, tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("one\ntwo\nthree\nfour", encoding="utf-8")
    task = ImageNet(hub_id=str(parquet), class_names=str(path))
    assert [sample.name for sample in task.samples("val", Source("hub"))][:3] == ["three", "one", "four"]
    path.write_text("one\ntwo\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 0: expected a label from 0 to 1, got 2"):
        list(task.samples("val", Source("hub")))


def test_the_microworld_stands_in_with_a_name_for_each_kind_of_thing() -> None:
    task = ImageNet(constrained=True)
    samples = list(task.samples("val", Source("mini")))
    assert len(samples) == len({sample.key for sample in samples}) == 168
    assert {sample.chance for sample in samples} == {1 / 42}
    assert samples[0].name == "red circle"
    pool = ExemplarPool(task.samples("train", Source("mini")))
    assert len(pool.draw(samples[0], 2, seed=1, task="imagenet")) == 2
