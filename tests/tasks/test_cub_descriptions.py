"""Bird pairs: CUB's files, other folders, files of pairs, and what is read out of an answer."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import datasets
import PIL.Image
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Image
from kosmos_eval.request import Continuation, Generate, Generated, LogLikelihood, Request, Response, Scored
from kosmos_eval.request import Score as ScoreRequest
from kosmos_eval.tasks.cub_descriptions import CubDescriptions, CubSample
from kosmos_eval.tasks.cub_descriptions.pairs import IN_CUB, PAPER, Bird, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kosmos_eval.task import Score

CLASSES = (
    "001.Black_footed_Albatross",
    "114.Black_throated_Sparrow",
    "120.Fox_Sparrow",
    "187.American_Three_toed_Woodpecker",
    "192.Downy_Woodpecker",
)
FILES = ("images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt")
TWO = CubDescriptions(images_per_class=2, pairs="cub")
COLUMNS = ("pair", "category", "folder", "name", "short", "description")
ROWS = (
    ("a", "gull", "Fox Sparrow", "big gull", "big", "It is big, and grey."),
    ("a", "gull", "my birds", "small gull", "small", "It is small."),
)


def save(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 8), (shade, 3 * shade % 256, 90)).save(path)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write five classes of CUB as its archive unpacks: two pictures of each are train, three are test."""
    root, lines, number = tmp_path / "CUB_200_2011", {name: list[str]() for name in FILES}, 0
    for label, name in enumerate(CLASSES, start=1):
        lines["classes.txt"].append(f"{label} {name}")
        for place in range(5):
            number += 1
            picture = f"{name}/{name[4:]}_{place:04d}_{9999 - number}.jpg"
            save(root / "images" / picture, number)
            lines["images.txt"].append(f"{number} {picture}")
            lines["image_class_labels.txt"].append(f"{number} {label}")
            lines["train_test_split.txt"].append(f"{number} {int(place in (1, 3))}")
    for file, each in lines.items():
        (root / file).write_bytes("\r\n".join(each).encode())
    return tmp_path


def read(folder: Path, task: CubDescriptions = TWO, split: str = "test") -> list[CubSample]:
    return list(task.samples(split, Source("folder", folder)))


def write_pairs(folder: Path, rows: Sequence[Sequence[str]] = ROWS) -> None:
    with (folder / "pairs.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def put_pictures(folder: Path, count: int) -> None:
    for place in range(count):
        save(folder / f"{place:02d}.JPG", 100 + place)
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "notes.txt").write_text("x", encoding="utf-8")


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("cub_descriptions") is CubDescriptions


def test_cub_s_files_say_class_and_split_and_the_first_by_name_are_taken(official: Path) -> None:
    samples = read(official)
    assert [sample.target for sample in samples] == [0, 0, 1, 1] * 2
    assert [sample.key for sample in samples][:3] == [
        "1/three_toed_woodpecker/American_Three_toed_Woodpecker_0000_9983.jpg",
        "1/three_toed_woodpecker/American_Three_toed_Woodpecker_0002_9981.jpg",
        "1/downy_woodpecker/Downy_Woodpecker_0000_9978.jpg",
    ]
    assert {sample.groups["pair"] for sample in samples} == {"woodpecker", "sparrow"}
    assert {sample.chance for sample in samples} == {0.5}
    assert samples[0].image.load().size == (8, 8)


def test_exemplars_are_of_the_train_split_and_may_be_fewer(official: Path) -> None:
    names = [sample.key.rpartition("/")[2] for sample in read(official, replace(TWO, images_per_class=3), "train")]
    assert len(names) == 8
    assert all(name.split("_")[-2] in {"0001", "0003"} for name in names)


def test_too_few_pictures_are_an_error_that_says_how_many_there_are(official: Path) -> None:
    expected = r"expected 4 pictures of the three toed woodpecker in split test, got 3; .*images_per_class=3"
    with pytest.raises(DataError, match=expected):
        read(official, replace(TWO, images_per_class=4))


def test_a_seed_draws_other_pictures_and_the_same_each_time(official: Path) -> None:
    draws = [[sample.key for sample in read(official, replace(TWO, image_seed=seed))] for seed in (1, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1


def test_the_paper_s_penguins_are_asked_for_or_left_out(official: Path) -> None:
    expected = r"expected Gentoo_penguin in .*CUB has none.*cub_descriptions\.pairs=cub"
    with pytest.raises(DataError, match=expected):
        read(official, CubDescriptions(images_per_class=2))
    for name in ("Gentoo_penguin", "royal_penguin"):
        put_pictures(official / name, 3)
    samples = read(official, CubDescriptions(images_per_class=2))
    assert [sample.pair for sample in samples] == [pair for pair in PAPER for _ in range(4)]
    assert len(IN_CUB) == 2


def test_a_file_of_pairs_names_classes_of_cub_and_other_folders(official: Path) -> None:
    write_pairs(official)
    put_pictures(official / "my birds", 3)
    samples = read(official, CubDescriptions(images_per_class=2))
    assert [sample.key for sample in samples] == [
        "a/big_gull/Fox_Sparrow_0000_9988.jpg",
        "a/big_gull/Fox_Sparrow_0002_9986.jpg",
        "a/small_gull/00.JPG",
        "a/small_gull/01.JPG",
    ]
    assert samples[0].pair.birds[0].description == "It is big, and grey."
    train = read(official, CubDescriptions(images_per_class=2), "train")
    assert [sample.key for sample in train][2:] == ["a/small_gull/02.JPG"]


def test_a_file_of_pairs_may_be_json_and_anywhere(official: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    put_pictures(official / "my birds", 3)
    path = tmp_path_factory.mktemp("else") / "two.json"
    path.write_text(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in ROWS]), encoding="utf-8")
    task = CubDescriptions(images_per_class=2, pairs=str(path))
    assert len(read(official, task)) == 4
    path.rename(official / "pairs.json")
    assert len(read(official, replace(task, pairs=""))) == 4


def test_pictures_need_no_cub(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    put_pictures(tmp_path / "images" / "Fox Sparrow", 2)
    put_pictures(tmp_path / "my birds", 2)
    assert len(read(tmp_path, CubDescriptions(images_per_class=2))) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:1], "pair a: expected two rows, got only that of 'big gull'"),
        ((*ROWS, ROWS[1]), "line 4: expected two rows of one category for pair a"),
        ((ROWS[0], ("a", "tern", *ROWS[1][2:])), "line 3: expected two rows of one category for pair a"),
        ((ROWS[0], ("a", "gull", *ROWS[0][2:])), "pair a: expected two folders"),
        (
            (ROWS[0], ("a", "gull", "x", "big big gull", "bigs", "It is.")),
            "pair a: expected two folders, and words of 'big' and 'bigs' that the other has not",
        ),
        ((ROWS[0], (*ROWS[1][:5], " ")), 'line 3: expected "description" to have words'),
        ((), "expected rows below its header"),
    ],
)
def test_a_bad_file_of_pairs_is_an_error(official: Path, rows: Sequence[Sequence[str]], message: str) -> None:
    write_pairs(official, rows)
    with pytest.raises(DataError, match=message):
        read(official, CubDescriptions())


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("images.txt", lambda lines: [*lines, lines[0]], r"images\.txt: expected each number once, got 1 twice"),
        ("images.txt", lambda lines: lines[1:], r"images\.txt: expected picture 1 of image_class_labels\.txt"),
        ("image_class_labels.txt", lambda lines: lines[:-1], r"labels\.txt: expected picture 25 of images\.txt"),
        (
            "train_test_split.txt",
            lambda lines: lines[2:],
            r"expected picture 1 of images\.txt, found none \(2 differ\)",
        ),
        ("classes.txt", lambda lines: lines[1:], r"expected a class of classes\.txt for 001.*, got '1'"),
        ("train_test_split.txt", lambda lines: ["1 2", *lines[1:]], r"expected 0 or 1 for 001.*, got '2'"),
        ("images.txt", lambda lines: ["1", *lines[1:]], r"line 1: expected a number and a value, got '1'"),
        ("images.txt", lambda _: [], r"images\.txt: .*got an empty file"),
    ],
)
def test_files_of_cub_that_do_not_fit_are_an_error(
    official: Path, file: str, edit: Callable[[list[str]], list[str]], message: str
) -> None:
    path = official / "CUB_200_2011" / file
    path.write_text("\n".join(edit(path.read_text(encoding="utf-8").splitlines())), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(official)


def test_a_missing_file_or_picture_is_an_error_that_names_it(official: Path) -> None:
    next((official / "CUB_200_2011" / "images" / CLASSES[4]).glob("*_0000_*")).unlink()
    with pytest.raises(DataError, match=r"downy woodpecker: expected its picture 192.*_0000_9978\.jpg"):
        read(official)
    (official / "CUB_200_2011" / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"expected classes\.txt in .*; unpack CUB_200_2011\.tgz again"):
        read(official)


def test_cub_without_its_list_of_pictures_is_not_taken_for_folders_of_pictures(official: Path) -> None:
    (official / "CUB_200_2011" / "images.txt").unlink()
    with pytest.raises(DataError, match=r"CUB_200_2011: expected images\.txt beside train_test_split\.txt, found none"):
        read(official)


def test_an_unknown_split_or_value_is_an_error(official: Path) -> None:
    with pytest.raises(UnknownNameError, match="no split of cub_descriptions named 'val'"):
        read(official, split="val")
    with pytest.raises(UnknownNameError, match=r"cub_descriptions\.match named 'name'; did you mean 'names'"):
        CubDescriptions(match="name")  # type: ignore[arg-type]  # as a user may type it
    with pytest.raises(UsageError, match="images_per_class to be at least 1, got 0"):
        CubDescriptions(images_per_class=0)
    with pytest.raises(UsageError, match="stop"):
        CubDescriptions(stop=("",))


class Asked(NamedTuple):
    request: Any
    score: Score


def asked(task: CubDescriptions, sample: CubSample, response: Response, shots: Sequence[CubSample] = ()) -> Asked:
    asking = task.ask(sample, shots)
    request: Request = next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(response)
    return Asked(request, task.score(sample, stopped.value.value))


def wrote(text: str) -> Generated:
    return Generated(text, (5, 2), (-0.1, -0.2), "eos")


def weighed(*weights: float) -> Scored:
    return Scored(tuple(LogLikelihood((5,), (weight,), 5, greedy=False) for weight in weights))


def bird(target: int = 0, pair: Pair = PAPER[0]) -> CubSample:
    image = Image(lambda: PIL.Image.new("RGB", (2, 2)), "bird")
    return CubSample(key="b", image=image, pair=pair, target=target)


def test_the_prompt_with_descriptions_is_the_paper_s() -> None:
    request = asked(CubDescriptions(), bird(), wrote("")).request
    assert request == Generate(request.prompt, max_new_tokens=16, stop=("\n", "Question:", "Description of"))
    assert request.prompt.text() == (
        "Description of three toed woodpecker: It has black and white stripes throughout the body and a yellow crown. "
        "Description of downy woodpecker: It has white spots on its black wings and some red on its crown. "
        "<image>Question:what is the name of woodpecker in the picture? Answer:"
    )


def test_the_prompt_without_descriptions_is_that_of_figure_6() -> None:
    request = asked(CubDescriptions(described=False), bird(), wrote("")).request
    assert request.prompt.text() == (
        "<image>Question:what is the name of the woodpecker in the picture, three toed or downy? Answer:"
    )


def test_exemplars_stand_in_front_with_their_name() -> None:
    task = CubDescriptions(described=False, separator="\n\n")
    text = asked(task, bird(), wrote(""), [bird(1, PAPER[2])]).request.prompt.text()
    assert text.startswith(
        "<image>Question:what is the name of the sparrow in the picture, black throated or fox? Answer: fox sparrow\n\n"
        "<image>Question:what is the name of the woodpecker in the picture"
    )


@pytest.mark.parametrize(
    ("text", "pair", "place"),
    [
        ("three toed woodpecker", 0, 0),
        ("three toe woodpecker", 0, 0),
        (" It is a Three-Toed Woodpecker.", 0, 0),
        ("the three-toes", 0, 0),
        ("downy", 0, 1),
        ("Downy woodpeckers", 0, 1),
        ("woodpecker", 0, None),
        ("three", 0, None),
        ("downy, not three toed", 0, None),
        ("", 0, None),
        (" . ", 0, None),
        ("gentoo", 1, 0),
        ("a Royal penguin", 1, 1),
        ("black-throated sparrow", 2, 0),
        ("black throat", 2, 0),
        ("a foxy one", 2, None),
        ("fox sparrow", 2, 1),
    ],
)
def test_a_species_is_read_by_the_words_that_only_it_is_called_by(text: str, pair: int, place: int | None) -> None:
    for target in (0, 1):
        score = asked(CubDescriptions(), bird(target, PAPER[pair]), wrote(text)).score
        assert score.values == {"accuracy": float(place == target)}
        assert score.answer == (None if place is None else PAPER[pair].birds[place].name)
        assert score.target == PAPER[pair].birds[target].name


def test_words_that_both_are_called_by_tell_nothing() -> None:
    pair = Pair(
        "p", "gull", (Bird("a", "red billed gull", "red billed", "d"), Bird("b", "red gull", "red footed", "d"))
    )
    scores = [asked(CubDescriptions(), bird(0, pair), wrote(text)).score for text in ("a red gull", "a billed gull")]
    assert [score.answer for score in scores] == [None, "red billed gull"]
    assert scores[0].explanation == "neither species is named"


def test_the_likelier_name_can_be_the_answer() -> None:
    task = CubDescriptions(match="scoring")
    request, score = asked(task, bird(1), weighed(-2, -1))
    options = (Continuation("three toed woodpecker"), Continuation("downy woodpecker"))
    assert request == ScoreRequest(request.prompt, options)
    assert (score.values, score.answer, score.margin) == ({"accuracy": 1.0}, "downy woodpecker", 1.0)
    tied = asked(task, bird(1), weighed(-1, -1)).score
    assert (tied.values, tied.explanation) == ({"accuracy": 0.5}, "both names are equally likely")
    spoilt = asked(task, bird(1), weighed(-1, math.nan)).score
    assert (spoilt.values, spoilt.answer) == ({"accuracy": 0.0}, None)


@pytest.mark.parametrize("target", [0, 1])
def test_the_perfect_answer_is_the_name_or_its_place(target: int) -> None:
    task, sample = CubDescriptions(), bird(target)
    written = asked(task, sample, wrote("")).request
    assert asked(task, sample, wrote(str(task.gold(sample, written)))).score.values == {"accuracy": 1.0}
    assert task.gold(sample, asked(CubDescriptions(match="scoring"), sample, weighed(0, 0)).request) == target


@pytest.fixture
def parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "hub"
    (folder / "data").mkdir(parents=True)
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    labels = [label for _ in range(3) for label in range(5)]
    for split, shade in (("train", 0), ("test", 100)):
        pictures = [PIL.Image.new("RGB", (8, 8), (shade + number, 0, 0)) for number in range(len(labels))]
        table = datasets.Dataset.from_dict({"image": pictures, "label": labels}, features=kinds)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def test_the_hub_s_rows_are_of_the_pairs_that_cub_has(parquet: Path) -> None:
    task = CubDescriptions(hub_id=str(parquet), images_per_class=2)
    samples = list(task.samples("test", Source("hub")))
    assert [sample.key for sample in samples][:4] == [
        "1/three_toed_woodpecker/test_000003",
        "1/three_toed_woodpecker/test_000008",
        "1/downy_woodpecker/test_000004",
        "1/downy_woodpecker/test_000009",
    ]
    assert samples[0].image.load().getpixel((0, 0)) == (103, 0, 0)
    assert len(list(task.samples("train", Source("hub")))) == 8
    with pytest.raises(DataError, match=r"expected a class Gentoo_penguin, got none .*pairs=cub"):
        replace(task, pairs="paper").samples("test", Source("hub"))


def test_the_microworld_stands_in_with_as_many_birds_as_the_paper() -> None:
    task = CubDescriptions()
    samples = list(task.samples("test", Source("mini")))
    assert len(samples) == len({sample.key for sample in samples}) == 120
    assert all(all(sample.pair.words()) for sample in samples)
    pool = ExemplarPool(task.samples("train", Source("mini")))
    assert len(pool.draw(samples[0], 2, seed=1, task="cub_descriptions")) == 2
    assert len(list(replace(task, images_per_class=3).samples("test", Source("mini")))) == 18
