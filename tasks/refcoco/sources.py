"""Where expressions come from: MDETR's files with COCO's pictures, the hub, or the embedded microworld."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kosmos_eval.data.folder import find_pictures, read_field
from kosmos_eval.data.hub import hub_rows
from kosmos_eval.data.mdetr import find_picture_folder, read_box, read_entries, read_id
from kosmos_eval.errors import DataError, UnknownNameError
from kosmos_eval.grounding import checked_text
from kosmos_eval.locations import Box
from kosmos_eval.metrics.boxes import Size
from kosmos_eval.microworld.grounding import described_things, referred_things
from kosmos_eval.microworld.scene import SIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from kosmos_eval.data.mdetr import Entry
    from kosmos_eval.data.source import Source
    from kosmos_eval.prompt import Image

_WITHIN = (
    "coco/images",
    "images/mscoco",
    "Images/mscoco",
    "images/coco",
    "mscoco/images",
    "data/coco",
    "coco2014/images",
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One of the three sets.

    Attributes:
        name: in MDETR's files.
        objects: split to the number of things in it, as its authors divided it; a copy that has more is another.
    """

    name: str
    objects: Mapping[str, int]


REFCOCO = Dataset("refcoco", {"train": 42_404, "val": 3_811, "testA": 1_975, "testB": 1_810})
REFCOCO_PLUS = Dataset("refcoco+", {"train": 42_278, "val": 3_805, "testA": 1_975, "testB": 1_798})
REFCOCOG = Dataset("refcocog", {"train": 42_226, "val": 2_573, "test": 5_023})


@dataclass(frozen=True, kw_only=True)
class Referred:
    """A thing of a picture and what people called it.

    Attributes:
        where: file and item, for messages.
        key: the dataset's id of the item.
        object_key: its id of the thing; things in several items have one.
        cluster: id of the picture.
        image: the picture.
        size: of the picture; `None` where only the picture itself says it.
        truth: the thing's box, in pixels.
        expressions: each fits this thing alone.
    """

    where: str
    key: str
    object_key: str
    cluster: str
    image: Image
    size: Size | None
    truth: Box
    expressions: tuple[str, ...]


def read_items(
    dataset: Dataset, split: str, source: Source, hub: tuple[str, str | None], *, described: bool = False
) -> Iterable[Referred]:
    """Return the items of a split, pictures unopened: one for each expression of a folder, one for each thing else.

    Args:
        dataset: one of the three.
        split: one of its own.
        source: where to read.
        hub: dataset and revision, for that source.
        described: as for `read_mini`.

    Raises:
        DataError: a file, dataset, annotation or picture is missing, unreadable or inconsistent.
        UsageError: there is no such split.
    """
    if split not in dataset.objects:
        kind = f"split of {dataset.name}"
        raise UnknownNameError(kind, split, dataset.objects)
    if source.kind == "mini":
        return read_mini(dataset, split, described=described)
    if source.kind == "hub":
        return read_hub(hub, dataset, split)
    return read_folder(source.folder, dataset, split)


def read_folder(folder: Path, dataset: Dataset, split: str) -> list[Referred]:
    """Return an item for each expression of MDETR's `finetune_{dataset}_{split}.json`, pictures unopened.

    The pictures are COCO's, in a folder `train2014`, and in `val2014` where their names do not say train2014, as the
    released code has it.

    Raises:
        DataError: something is missing, unreadable or inconsistent; all is checked before an item is returned.
    """
    entries = read_entries(folder, f"finetune_{dataset.name}_{split}.json")
    images: dict[str, Image] = {}
    for name in ("train2014", "val2014"):
        wanted = [
            (each.where, each.file_name) for each in entries if ("train2014" in each.file_name) == (name[0] == "t")
        ]
        if wanted:
            cure = f"unpack COCO's {name}.zip (cocodataset.org/#download)"
            place = find_picture_folder(folder, [name], wanted[0][1], within=_WITHIN, cure=cure)
            images |= find_pictures(place, wanted, cure)
    return [_read_entry(each, dataset, images[each.file_name]) for each in entries]


def _read_entry(entry: Entry, dataset: Dataset, image: Image) -> Referred:
    name = entry.record.get("dataset_name", dataset.name)
    if name != dataset.name:
        message = f"{entry.where}: expected an expression of {dataset.name}, got one of {name}; was a file renamed?"
        raise DataError(message)
    if len(entry.regions) != 1:
        message = f"{entry.where}: expected one annotation, got {len(entry.regions)}; unpack the file again"
        raise DataError(message)
    region = entry.regions[0]
    picture = _own_id(entry.record, entry.where) or _coco_id(entry.file_name)
    read = Referred(
        where=entry.where,
        key=entry.key,
        object_key=_own_id(region.record, entry.where) or f"{picture}:{','.join(f'{side:g}' for side in region.box)}",
        cluster=picture,
        image=image,
        size=entry.size,
        truth=region.box,
        expressions=(entry.caption,),
    )
    return _checked(read)


def _own_id(record: Mapping[str, Any], where: str) -> str:
    """Return COCO's id of a picture or a thing; empty where a file leaves it out."""
    return read_id(record, "original_id", where) if "original_id" in record else ""


def _checked(item: Referred) -> Referred:
    """Return the item, whose box must be one that can be found."""
    left, top, right, bottom = item.truth
    width, height = item.size or (right, bottom)
    if min(right, width) <= max(left, 0.0) or min(bottom, height) <= max(top, 0.0):
        message = (
            f"{item.where}: expected a box with an area inside the picture, got {tuple(item.truth)}; "
            f"mend it, or unpack the file again"
        )
        raise DataError(message)
    return item


def read_hub(place: tuple[str, str | None], dataset: Dataset, split: str) -> list[Referred]:
    """Return an item for each thing of a dataset with the columns of lmms-lab/RefCOCO, pictures unopened.

    Raises:
        DataError: the dataset cannot be read, a row is inconsistent, or there are more rows than things in the split:
            lmms-lab/RefCOCO's val mixes 3,811 of UNC's division with 5,000 of Google's, and no column tells them apart.
    """
    repository, revision = place
    columns = ("question_id", "answer", "bbox", "file_name")
    rows = hub_rows(repository, split, revision=revision, columns=columns, image_columns=("image",))
    found: dict[str, Referred] = {}
    count = 0
    for count, row in enumerate(rows, start=1):
        where = f"dataset {repository}, split {split}, row {count - 1}"
        key = read_id(row, "question_id", where)
        answers = read_field(row, "answer", list, where)
        item = Referred(
            where=where,
            key=key,
            object_key=key,
            cluster=_coco_id(read_field(row, "file_name", str, where)),
            image=row["image"],
            size=None,
            truth=read_box(row, where),
            expressions=tuple(checked_text(each, where) for each in answers if isinstance(each, str)),
        )
        if not item.expressions or len(item.expressions) < len(answers):
            message = f'{where}: expected "answer" to be a list of texts, got {answers!r:.60}'
            raise DataError(message)
        found.setdefault(key, _checked(item))
    most = dataset.objects[split]
    if count > most:
        message = (
            f"dataset {repository}, split {split}: expected the {most:,} things of {dataset.name}'s own {split}, got "
            f"{count:,}: others are mixed in, and no column tells which; name a folder of MDETR's files (--data DIR)"
        )
        raise DataError(message)
    if len(found) < count:
        message = f"dataset {repository}, split {split}: expected each question_id once, got {count - len(found)} again"
        raise DataError(message)
    return list(found.values())


def _coco_id(file_name: str) -> str:
    """Return the id of COCO's picture: of COCO_train2014_000000581857_16.jpg 581857."""
    numbers = [part for part in file_name.rpartition(".")[0].split("_") if part.isdecimal()]
    return str(int(numbers[0])) if numbers else file_name


def read_mini(dataset: Dataset, split: str, *, described: bool = False) -> Iterator[Referred]:
    """Yield items of the embedded microworld; RefCOCO+'s do not say where a thing is, as its authors asked.

    Args:
        dataset: whose stand-in it is.
        split: one of its own.
        described: give each thing several expressions that say all of it.
    """
    name, drawn = f"{dataset.name} {split}", split if split in {"train", "val"} else "test"
    things = (
        described_things(name, drawn) if described else referred_things(name, drawn, places=dataset.name[-1] != "+")
    )
    for each in things:
        yield Referred(
            where=f"microworld {name} {each.key}",
            key=each.key,
            object_key=each.key,
            cluster=each.image_key,
            image=each.image,
            size=Size(SIDE, SIDE),
            truth=Box(*map(float, each.box)),
            expressions=each.expressions,
        )


def picture_size(image: Image, size: Size | None) -> Size:
    """Return a picture's size, which opens the picture where no file says it."""
    if size is not None:
        return size
    return Size(*map(float, image.load().size))
