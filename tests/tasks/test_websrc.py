from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kosmos_eval.data.source import Source
from kosmos_eval.errors import DataError, KosmosEvalError, UnknownNameError, UsageError
from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.plugins import Plugins
from kosmos_eval.request import Generate, Generated
from kosmos_eval.task import Submits
from kosmos_eval.tasks.websrc import WebSRC, WebSRCSample, page_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED = Path("../shared/samples/websrc")
HUB = Source("hub")
COLUMNS = ("question", "id", "element_id", "answer_start", "answer")
PAGE = '<html tid="0"> <body tid="1"> <td tid="2"> Length </td> <td tid="3"> 190.7 " </td> <b tid="4"> A &amp; B </b>'
ROWS = {
    "auto/01": [("How long?", "au010000100000", 3, 0, '190.7 "'), ("Is it new?", "au010000100001", -1, 1, "yes")],
    "book/17": [("Which letters?", "bo170000200000", 4, 0, "A & B")],
    "auto/03": [("How long?", "au030000100000", 3, 0, '190.7 "')],
    "jobs/04": [("How long?", "jo040000100000", 3, 0, '190.7 "')],
}
INSTRUCTION = (
    "Given the context below from web page, extract the answer from the given text like this: Qusestion: Who is the "
    "publisher of this book? Answer: Penguin Books Ltd. "
)
TEXT = 'Context: Length 190.7 " A & B '


def write_site(folder: Path, site: str, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS) -> None:
    pages = folder / site / "processed_data"
    pages.mkdir(parents=True, exist_ok=True)
    with (folder / site / "dataset.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    for row in rows:
        page = str(row[1])[2:9]
        (pages / f"{page}.html").write_text(PAGE, encoding="utf-8")
        PIL.Image.new("RGBA", (8, 8), (int(page) % 256, 9, 0)).save(pages / f"{page}.png")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Write four sites, of which the first two are dev's."""
    for site, rows in ROWS.items():
        write_site(tmp_path, site, rows)
    splits = {"dev": ["au01", "bo17"], "test": ["ga06"], "train": ["au03", "jo04"]}
    (tmp_path / "dataset_split_release.json").write_text(json.dumps(splits), encoding="utf-8")
    return tmp_path


def read(folder: Path, split: str = "dev", **settings: Any) -> list[WebSRCSample]:  # noqa: ANN401  of many types
    return list(WebSRC(**settings).samples(split, Source("folder", folder)))


def asked(task: WebSRC, sample: WebSRCSample, exemplars: Sequence[WebSRCSample] = ()) -> Generate:
    request = next(task.ask(sample, exemplars))
    assert isinstance(request, Generate)
    return request


def test_it_is_found_as_a_plugin() -> None:
    assert Plugins().task("websrc") is WebSRC


def test_the_sites_of_a_split_are_read_with_pages_questions_and_answers(official: Path) -> None:
    samples = read(official)
    assert [sample.key for sample in samples] == ["au010000100000", "au010000100001", "bo170000200000"]
    first, second, _ = samples
    assert (first.question, first.answer, first.text) == ("How long?", '190.7 "', 'Length 190.7 " A & B')
    assert (first.cluster, second.cluster) == ("au0100001", "au0100001")
    assert [dict(sample.groups) for sample in samples] == [
        {"domain": "auto", "answer": "span"},
        {"domain": "auto", "answer": "yes/no"},
        {"domain": "book", "answer": "span"},
    ]
    assert first.image is second.image
    assert first.image.name.endswith("auto/01/processed_data/0100001.png")
    assert first.image.load().size == (8, 8)
    assert [sample.key for sample in read(official, "train")] == ["au030000100000", "jo040000100000"]


def test_the_sites_may_lie_one_level_down_and_be_split_as_published(official: Path) -> None:
    (official / "release").mkdir()
    for name in ("auto", "book", "jobs"):
        (official / name).rename(official / "release" / name)
    (official / "dataset_split_release.json").unlink()
    (official / ".DS_Store").touch()
    assert [sample.key[:4] for sample in read(official)] == ["au01", "au01", "bo17"]
    assert [sample.key[:4] for sample in read(official, "train")] == ["au03", "jo04"]


def test_sites_that_were_unpacked_apart_are_all_read_and_each_once(official: Path) -> None:
    for site in ("auto/03", "jobs/04"):
        (official / "test" / site).parent.mkdir(parents=True)
        (official / site).rename(official / "test" / site)
    (official / "rest").mkdir()
    for domain in ("auto", "book"):
        (official / domain).rename(official / "rest" / domain)
    assert [len(read(official, split)) for split in ("dev", "train")] == [3, 2]
    shutil.copytree(official / "rest" / "book", official / "test" / "book")
    with pytest.raises(DataError, match=r"expected each site once, got .*rest/book/17 and .*test/book/17; remove one"):
        read(official)


def test_a_file_of_splits_from_before_test_was_released_leaves_its_sites_out_of_train(official: Path) -> None:
    (official / "dataset_split_release.json").unlink()
    (official / "dataset_split.json").write_text('{"dev": ["au01", "bo17"], "test": []}', encoding="utf-8")
    write_site(official, "auto/02", [("How long?", "au020000100000")], ("question", "id"))
    assert [sample.key for sample in read(official, "test")] == ["au020000100000"]
    assert len(read(official, "train")) == 2


def test_a_file_of_splits_without_train_leaves_the_others_to_train(official: Path) -> None:
    (official / "dataset_split_release.json").unlink()
    (official / "dataset_split.json").write_text('{"dev": ["jo04"], "test": []}', encoding="utf-8")
    assert [sample.key[:4] for sample in read(official)] == ["jo04"]
    assert len(read(official, "train")) == 4


def test_test_has_no_answers(official: Path) -> None:
    write_site(official, "game/06", [("How long?", "ga060000100000")], COLUMNS[:2])
    (sample,) = read(official, "test")
    assert (sample.labelled, sample.answer, dict(sample.groups)) == (False, "", {"domain": "game"})
    assert WebSRC(split="test").score(sample, "190").values == {}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the samples of real layout are not beside this checkout")
def test_foreign_files_of_the_official_layout_are_read() -> None:
    samples = read(SHARED, "train")
    assert len(samples) == 10
    assert all(sample.answer in sample.text and len(sample.content) == 64 for sample in samples)
    with pytest.raises(DataError, match=r"expected sites of split dev, found only au03 \(train\), bo01 \(train\)"):
        read(SHARED)


class Strings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the samples of real layout are not beside this checkout")
def test_real_pages_have_the_text_that_a_parser_of_html_finds() -> None:
    files = sorted(SHARED.glob("*/*/processed_data/*.html"))
    assert len(files) == 6
    for file in files:
        markup = file.read_text(encoding="utf-8")
        parser = Strings()
        parser.feed(markup)
        parser.close()
        assert page_text(markup) == " ".join(" ".join(parser.found).split())


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a<b>b</b></p>", "a b"),
        ("a &lt;b&gt; &amp;nbsp; &nbsp; c", "a <b> &nbsp; c"),
        ("<a title=\"x > y\" t='>'>z</a>", "z"),
        ("<script>if (a < b) {}</script><STYLE>p {}</STYLE>x<!-- <b>no</b> -->y<br/>z", "x y z"),
        ("<!DOCTYPE html>\n x < 5 and y > 6\n", "x < 5 and y > 6"),
        ("", ""),
    ],
)
def test_a_page_s_text_is_its_strings_in_order(markup: str, text: str) -> None:
    assert page_text(markup) == text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("Q", "au010000100000", 3, 0, "x"), ("Q", "au010000100000", 3, 0, "x")], r"got au010000100000 twice"),
        ([("Q", "au020000100000", 3, 0, "x")], r"line 2: expected an id of 14 characters that begins with au01, got"),
        ([("Q", "au0100001", 3, 0, "x")], r"expected an id of 14 characters .* got 'au0100001'"),
        ([(" ", "au010000100000", 3, 0, "x")], r"expected the question au010000100000 to have words, got ' '"),
        ([], r"dataset\.csv: expected rows below its header"),
    ],
)
def test_an_inconsistent_site_is_one_line_that_names_file_and_item(
    official: Path, rows: list[Sequence[object]], message: str
) -> None:
    write_site(official, "auto/01", rows)
    with pytest.raises(DataError, match=message) as raised:
        read(official)
    assert "auto/01" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_pages_and_columns_are_named(official: Path) -> None:
    pages = official / "auto" / "01" / "processed_data"
    (pages / "0100001.html").unlink()
    with pytest.raises(DataError, match=r"0100001\.html: expected the page's HTML there, found none"):
        read(official)
    assert read(official, page_text=False)[0].text == ""
    (pages / "0100001.png").unlink()
    with pytest.raises(DataError, match=r"auto/01/dataset\.csv: line 2: expected its picture 0100001\.png"):
        read(official)
    write_site(official, "auto/01", [("Q", "au010000100000")], COLUMNS[:2])
    with pytest.raises(DataError, match=r"dataset\.csv: expected columns element_id, answer, got only"):
        read(official)


def test_a_folder_without_sites_and_an_unknown_split_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"expected sites such as auto/03/dataset\.csv, found none; get it from x-lance"
    ):
        read(tmp_path)
    with pytest.raises(UnknownNameError, match="no split of websrc named 'val'"):
        read(tmp_path, "val")


def test_the_prompt_is_the_paper_s_to_the_letter(official: Path) -> None:
    sample = read(official)[0]
    assert asked(WebSRC(), sample).prompt.text() == f"<image>{INSTRUCTION}{TEXT}Q: How long? A:"
    assert asked(WebSRC(page_text=False), sample).prompt.text() == f"<image>{INSTRUCTION}Q: How long? A:"
    assert asked(WebSRC(page_image=False), sample).prompt.text() == f"{INSTRUCTION}{TEXT}Q: How long? A:"
    assert WebSRC.variants == {"image-only": {"page_text": False}, "text-only": {"page_image": False}}


def test_exemplars_are_the_same_with_their_answers_and_less_text(official: Path) -> None:
    exemplar, sample = read(official, "train")[0], read(official)[1]
    shown = asked(WebSRC(exemplar_max_words=1), sample, [exemplar]).prompt.text()
    assert shown == (
        f'<image>{INSTRUCTION}Context: Length Q: How long? A: 190.7 "<image>{INSTRUCTION}{TEXT}Q: Is it new? A:'
    )


def test_text_beyond_the_limit_is_cut_and_the_record_says_so(official: Path) -> None:
    sample = read(official)[2]
    task = WebSRC(max_words=3)
    assert 'Context: Length 190.7 " Q:' in asked(task, sample).prompt.text()
    assert task.score(sample, "A & B").explanation == "the context was cut to 3 of 6 words, and lacks the answer"
    assert WebSRC(max_words=6).score(sample, "A & B").explanation == ""
    assert WebSRC(max_words=3, page_text=False).score(sample, "A & B").explanation == ""


def test_answers_earn_exact_match_and_f1(official: Path) -> None:
    task, sample = WebSRC(), read(official)[0]
    asking = task.ask(sample, ())
    next(asking)
    with pytest.raises(StopIteration) as stopped:
        asking.send(Generated(" 190.7 in", (5, 2), (-0.1, -0.2), "eos"))
    score = task.score(sample, stopped.value.value)
    assert score.values == {"exact_match": 0.0, "f1": pytest.approx(2 / 3)}
    assert (score.answer, score.target) == ("190.7 in", '190.7 "')
    assert task.score(sample, task.gold(sample, asked(task, sample))).values == {"exact_match": 1.0, "f1": 1.0}
    empty = task.score(sample, " \n")
    assert (empty.answer, empty.values) == (None, {"exact_match": 0.0, "f1": 0.0})


def test_the_submission_has_answers_and_unknown_tags_by_id(official: Path, tmp_path: Path) -> None:
    write_site(official, "game/06", [("How long?", "ga060000100000"), ("Why?", "ga060000100001")], COLUMNS[:2])
    task = WebSRC(split="test")
    assert isinstance(task, Submits)
    samples = read(official, "test")
    answers = [(sample, task.score(sample, text)) for sample, text in zip(samples, ("63 é", ""), strict=True)]
    path = task.submission(answers, tmp_path / "out")
    assert json.loads(path.read_text(encoding="utf-8")) == {"ga060000100000": "63 é", "ga060000100001": ""}
    tags = json.loads((tmp_path / "out" / "tag_prediction.json").read_text(encoding="utf-8"))
    assert tags == {"ga060000100000": -1, "ga060000100001": -1}


def encoded(shade: int) -> str:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write two datasets with the columns of rootsautomation/websrc and of its test split."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    questions = ["How long?", "Is it new?", "How long?"]
    dev = [
        {"domain": "auto", "page_id": "0100001", "question": text, "answer": answer, "image": encoded(7)}
        for text, answer in zip(questions, ("63", "Yes", "63"), strict=True)
    ]
    test = [{"id": "ga060000100000", "domain": "game", "page_id": "0600001", "question": "Why?", "image": encoded(8)}]
    for name, split, rows in (("websrc", "dev", dev), ("websrc", "train", dev), ("websrc-test", "test", test)):
        (tmp_path / name / "data").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "data" / f"{split}-00000-of-00001.parquet")
    return tmp_path


def test_the_hub_s_rows_have_keys_of_page_and_question_and_share_a_page_s_picture(copies: Path) -> None:
    task = WebSRC(hub_id=str(copies / "websrc"), page_text=False)
    first, second, third = task.samples("dev", HUB)
    assert first.key.startswith("au0100001-")
    assert len({first.key, second.key, third.key}) == 3
    assert third.key == f"{first.key}-2"
    assert first.image is second.image is third.image
    assert first.image.load().getpixel((0, 0)) == (7, 0, 0)
    assert [sample.groups["answer"] for sample in (first, second)] == ["span", "yes/no"]
    assert (first.answer, first.text, first.labelled) == ("63", "", True)
    assert task.provenance(HUB) == {str(copies / "websrc"): None}


def test_the_hub_has_no_text_so_only_the_picture_can_be_asked(copies: Path) -> None:
    with pytest.raises(UsageError, match=r"no text of its pages; ask websrc:image-only"):
        WebSRC(hub_id=str(copies / "websrc")).samples("dev", HUB)


def test_the_hub_s_test_split_is_another_dataset_with_ids(copies: Path) -> None:
    task = WebSRC(split="test", hub_id=str(copies / "websrc"), test_hub_id=str(copies / "websrc-test"), page_text=False)
    (sample,) = task.samples("test", HUB)
    assert (sample.key, sample.labelled, sample.answer) == ("ga060000100000", False, "")
    assert len(list(task.samples("train", HUB))) == 3
    assert set(task.provenance(HUB)) == {str(copies / "websrc"), str(copies / "websrc-test")}


def test_a_hub_dataset_without_a_column_is_an_error_with_those_found(copies: Path) -> None:
    path = copies / "websrc" / "data" / "dev-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["answer"]), path)
    with pytest.raises(DataError, match=r"expected columns answer, got only domain, page_id, question, image"):
        list(WebSRC(hub_id=str(copies / "websrc"), page_text=False).samples("dev", HUB))


def test_the_microworld_stands_in_with_pages_and_other_ones_as_exemplars() -> None:
    task, source = WebSRC(), Source("mini")
    samples = list(task.samples("dev", source))
    assert len(samples) == len({sample.key for sample in samples}) == 160
    assert all(sample.answer in (*("yes", "no"), *sample.text.split(), sample.text) for sample in samples[:2])
    assert {sample.text for sample in WebSRC(page_text=False).samples("dev", source)} == {""}
    pool = ExemplarPool(task.samples("train", source))
    assert len(pool.draw(samples[0], 4, seed=1, task="websrc")) == 4


@pytest.mark.parametrize(
    "settings", [{"page_text": False, "page_image": False}, {"max_words": 0}, {"max_new_tokens": 0}]
)
def test_settings_that_leave_nothing_to_ask_are_errors(settings: dict[str, Any]) -> None:
    with pytest.raises(KosmosEvalError, match="websrc: expected"):
        WebSRC(**settings)
