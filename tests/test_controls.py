"""Input controls take from a request what they say, and nothing else; what is drawn is the same in every run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import PIL.Image
import pytest

from kosmos_eval.altered_pictures import GREY, TILES, blank, noise, shuffled
from kosmos_eval.config import parse_config
from kosmos_eval.controls import CONTROLS, Controlled, obstacle, parse_control
from kosmos_eval.errors import DataError, PluginError, UnknownNameError, UsageError
from kosmos_eval.plan import make_plan
from kosmos_eval.plugins import Plugins
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Generated, Score
from kosmos_eval.task import Sample

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from kosmos_eval.plan import Cell, Plan
    from kosmos_eval.request import Request, Response
    from kosmos_eval.task import Task


def picture(number: int, size: tuple[int, int] = (16, 16)) -> Image:
    def draw() -> PIL.Image.Image:
        made = PIL.Image.new("RGB", size)
        made.putdata([(number % 256, x % 256, x // 256) for x in range(size[0] * size[1])])
        return made

    return Image(draw, f"picture {number}")


class Said(NamedTuple):
    text: str


WHAT = Said("what?")


@dataclass(frozen=True, kw_only=True)
class Item(Sample):
    shown: tuple[Image, ...] = ()
    said: Said = WHAT
    answer: str = ""
    votes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asks:
    """Asks twice: the picture in the prompt, then each picture before a candidate."""

    name = "asks"
    asked_in = ("said.text",)
    answered_in: tuple[str, ...] = ("answer",)

    def ask(self, sample: Item, exemplars: Sequence[Item]) -> Generator[Request, Response, str]:
        solved = [Prompt.of(*each.shown, f"{each.said.text} {each.answer}.") for each in exemplars]
        first = yield Generate(Prompt.of(*solved, *sample.shown, sample.said.text), max_new_tokens=3)
        assert isinstance(first, Generated)
        leads = [Prompt.of(each, "this?") for each in sample.shown] or [Prompt.of("none?")]
        yield Score(Prompt.of(first.text), tuple(Continuation("yes", lead) for lead in leads))
        return first.text


ITEMS = [
    Item(key=f"{number}", cluster=f"{number // 2}", shown=(picture(number // 2),), answer="abcd"[number % 4])
    for number in range(8)
]
SOLVED = [replace(each, key=f"s{each.key}", shown=(picture(100 + int(each.key)),)) for each in ITEMS]


def controlled(name: str, others: Sequence[Sample] = ITEMS, seed: int = 0, task: Asks | None = None) -> Controlled:
    return Controlled(task or Asks(), parse_control(name), others, seed)  # type: ignore[arg-type]  # all that is looked at


def requests(asker: Controlled | Asks, sample: Item, exemplars: Sequence[Item] = ()) -> tuple[Generate, Score]:
    asking = asker.ask(sample, exemplars)
    first = next(asking)
    assert isinstance(first, Generate)
    second = asking.send(Generated("(hint)", (1,), (-1.0,), "eos"))
    with pytest.raises(StopIteration) as done:
        asking.send(Generated("", (), (), "eos"))
    assert done.value.value == "(hint)"
    assert isinstance(second, Score)
    return first, second


def test_without_pictures_the_query_s_are_gone_wherever_they_stood_and_the_exemplars_stay() -> None:
    first, second = requests(controlled("image=none"), ITEMS[0], SOLVED[2:4])
    assert first.prompt == Prompt.of(SOLVED[2].shown[0], "what? c.", SOLVED[3].shown[0], "what? d.", " what?")
    assert second.images == ()
    assert second.prompt.text() == "(hint)"
    assert [each.lead.text() for each in second.continuations] == ["this?"]


def test_words_that_only_a_picture_kept_apart_stay_apart() -> None:
    @dataclass(frozen=True)
    class Tight(Asks):
        def ask(self, sample: Item, exemplars: Sequence[Item]) -> Generator[Request, Response, str]:  # noqa: ARG002
            seen = sample.shown[0]
            prompt = Prompt.of("left", seen, "right ", seen, "end", seen, "\nnext", seen)
            yield Generate(prompt, max_new_tokens=1)
            return ""

    request = next(controlled("image=none", task=Tight()).ask(ITEMS[0], ()))
    assert request.prompt.text() == "left right end\nnext"


def test_text_only_leaves_no_picture_at_all() -> None:
    first, second = requests(controlled("image=text-only"), ITEMS[0], SOLVED[2:4])
    assert (first.images, second.images) == ((), ())
    assert first.prompt.text() == "what? c. what? d. what?"


@pytest.mark.parametrize("name", ["image=blank", "image=noise", "image=shuffled", "image=other-sample"])
def test_another_picture_stands_where_the_query_s_stood_and_nowhere_else(name: str) -> None:
    plain = requests(Asks(), ITEMS[0], SOLVED[2:4])
    changed = requests(controlled(name), ITEMS[0], SOLVED[2:4])
    own = ITEMS[0].shown[0]
    pairs: list[tuple[Request, Request]] = list(zip(plain, changed, strict=True))
    for before, after in pairs:
        assert before.prompt.text() == after.prompt.text()
        assert own in before.images
        assert own not in after.images
        kept = [(one, two) for one, two in zip(before.images, after.images, strict=True) if one != own]
        assert all(one is two for one, two in kept)
        assert len({two for one, two in zip(before.images, after.images, strict=True) if one == own}) == 1


def test_a_blank_picture_is_grey_and_of_the_same_size() -> None:
    made = blank(picture(3, (5, 7))).load()
    assert (made.size, made.getcolors()) == ((5, 7), [(35, GREY)])


def test_noise_is_of_the_same_size_and_goes_by_pixels_and_subject() -> None:
    made = noise(picture(3, (64, 48)), "seed 0")
    assert made.load().size == (64, 48)
    assert made == noise(picture(3, (64, 48)), "seed 0")
    others = [noise(picture(4, (64, 48)), "seed 0"), noise(picture(3, (64, 48)), "seed 1")]
    assert made not in others
    values = Counter(made.load().tobytes())
    assert len(values) == 256
    assert max(values.values()) < 4 * min(values.values())


def tiles_of(image: PIL.Image.Image) -> list[bytes]:
    across, down = min(TILES, image.width), min(TILES, image.height)
    width, height = image.width // across, image.height // down
    return [
        image.crop((column * width, row * height, (column + 1) * width, (row + 1) * height)).tobytes()
        for row in range(down)
        for column in range(across)
    ]


def pixels_of(image: PIL.Image.Image) -> Counter[bytes]:
    flat = image.tobytes()
    return Counter(flat[at : at + 3] for at in range(0, len(flat), 3))


@pytest.mark.parametrize("size", [(32, 32), (37, 61), (3, 20), (1, 2), (8, 8)])
def test_shuffled_tiles_are_the_picture_s_own_and_none_is_where_it_was(size: tuple[int, int]) -> None:
    source = picture(9, size)  # no two pixels are alike
    made = shuffled(source, "seed 0").load()
    before, after = tiles_of(source.load()), tiles_of(made)
    assert sorted(before) == sorted(after)
    assert all(one != two for one, two in zip(before, after, strict=True))
    assert pixels_of(made) == pixels_of(source.load())
    assert shuffled(source, "seed 0") == shuffled(picture(9, size), "seed 0")
    if min(size) >= TILES:
        assert shuffled(source, "seed 0") != shuffled(source, "seed 1")


def test_a_single_pixel_cannot_be_shuffled() -> None:
    assert shuffled(picture(9, (1, 1)), "seed 0") == picture(9, (1, 1))


def test_pictures_of_another_sample_are_never_the_sample_s_own_nor_its_cluster_s() -> None:
    for seed in range(20):
        for sample in ITEMS:
            (image,) = requests(controlled("image=other-sample", seed=seed), sample)[0].images
            assert image in [each.shown[0] for each in ITEMS if each.cluster != sample.cluster]
    drawn = {requests(controlled("image=other-sample", seed=seed), ITEMS[0])[0].images for seed in range(20)}
    assert len(drawn) > 1


def test_samples_that_share_a_picture_share_its_stand_in() -> None:
    one = controlled("image=other-sample")
    assert requests(one, ITEMS[0])[0].images == requests(one, ITEMS[1])[0].images


def test_a_copy_under_another_cluster_does_not_stand_in() -> None:
    copy = replace(ITEMS[0], key="copy", cluster="far")
    (image,) = requests(controlled("image=other-sample", [*ITEMS[:2], copy, ITEMS[2]]), ITEMS[0])[0].images
    assert image == ITEMS[2].shown[0]


def test_as_many_pictures_stand_in_if_any_sample_has_as_many_else_they_go_round() -> None:
    pair = Item(key="pair", shown=(picture(50), picture(51)))
    other = Item(key="other", shown=(picture(60), picture(61)))
    triple = Item(key="triple", shown=(picture(70), picture(71), picture(72)))
    for seed in range(5):
        first, _ = requests(controlled("image=other-sample", [*ITEMS, other], seed), pair)
        assert first.images == other.shown
    first, _ = requests(controlled("image=other-sample", [other]), triple)
    assert first.images == (*other.shown, other.shown[0])


def test_that_no_other_sample_has_pictures_is_said() -> None:
    with pytest.raises(DataError, match="expected another sample whose pictures can stand in for those of sample 0"):
        next(controlled("image=other-sample", [*ITEMS[:2], Item(key="bare")]).ask(ITEMS[0], ()))


def test_the_text_that_is_asked_about_is_blanked_and_the_exemplars_keep_theirs() -> None:
    first, _ = requests(controlled("text=none"), ITEMS[0], SOLVED[2:3])
    assert first.prompt == Prompt.of(SOLVED[2].shown[0], "what? c.", ITEMS[0].shown[0])


@pytest.mark.parametrize(("field", "said"), [("answr", "to name fields"), ("shown", "to name texts")])
def test_a_task_that_names_no_text_of_its_samples_is_told(field: str, said: str) -> None:
    @dataclass(frozen=True)
    class Wrong(Asks):
        asked_in = (field,)

    with pytest.raises(PluginError, match=f"asks: expected asked_in {said}"):
        next(controlled("text=none", task=Wrong()).ask(ITEMS[0], ()))


def test_exemplars_get_another_s_answer_and_nothing_else_of_it() -> None:
    for seed in range(10):
        first, _ = requests(controlled("exemplars=shuffled-labels", SOLVED, seed), ITEMS[0], SOLVED[1:3])
        assert first.images == (SOLVED[1].shown[0], SOLVED[2].shown[0], ITEMS[0].shown[0])
        said = [part for part in first.prompt.parts if isinstance(part, str)]
        assert said[0] in {"what? a.", "what? c.", "what? d."}
        assert said[1] in {"what? a.", "what? b.", "what? d."}
        assert said[2] == "what?"


def test_an_answer_that_all_share_stays() -> None:
    alike = [replace(each, answer="same") for each in SOLVED]
    first, _ = requests(controlled("exemplars=shuffled-labels", alike), ITEMS[0], alike[:1])
    assert "what? same." in first.prompt.parts


@dataclass(frozen=True)
class Voted(Asks):
    answered_in = ("votes", "answer")


def test_an_answer_is_another_in_every_field_that_holds_it() -> None:
    """Other votes for the answer that it has are no other answer."""
    voted = [replace(each, answer=each.answer if each is SOLVED[1] else "same", votes=(each.key,)) for each in SOLVED]
    for seed in range(10):
        first, _ = requests(controlled("exemplars=shuffled-labels", voted, seed, Voted()), ITEMS[0], voted[2:3])
        assert "what? b." in first.prompt.parts


def test_an_answer_is_another_in_some_field_where_none_is_another_in_all() -> None:
    first, _ = requests(controlled("exemplars=shuffled-labels", SOLVED, task=Voted()), ITEMS[0], SOLVED[:1])
    assert "what? a." not in first.prompt.parts


def test_an_exemplar_keeps_its_wrong_answer_before_every_query() -> None:
    one = controlled("exemplars=shuffled-labels", SOLVED)
    assert len({requests(one, sample, SOLVED[:1])[0].prompt.parts[1] for sample in ITEMS}) == 1


def test_what_stands_in_the_way_of_a_control_is_said() -> None:
    bare, task = [Item(key="bare")], cast("Task[Item, str]", Asks())
    assert obstacle(parse_control("image=none"), task, bare, 0) == "its samples have no pictures"
    assert obstacle(parse_control("image=none"), task, [*bare, ITEMS[0]], 0) == ""
    assert obstacle(parse_control("exemplars=shuffled-labels"), task, ITEMS, 0) == "it has no exemplars at 0 shots"
    assert obstacle(parse_control("exemplars=shuffled-labels"), task, ITEMS, 2) == ""
    assert "which text" in obstacle(parse_control("text=none"), object(), ITEMS, 0)  # type: ignore[arg-type]  # it declares nothing
    assert "answer" in obstacle(parse_control("exemplars=shuffled-labels"), object(), ITEMS, 2)  # type: ignore[arg-type]  # as above


def test_a_name_that_is_no_control_is_refused_with_the_nearest() -> None:
    assert [parse_control(name).name for name in CONTROLS] == list(CONTROLS)
    for values in ({"controls": ["image=nune"]}, {"controls": ["image=none", "image=nune"]}):
        with pytest.raises(UnknownNameError, match="no control named 'image=nune'; did you mean 'image=none'"):
            parse_config({"tasks": ["vqav2"], **values}, "the command line")
    assert parse_config({"tasks": ["t"], "controls": ["image=none"] * 2}, "here").controls == ("image=none",)


def plan_of(tasks: str, controls: Sequence[str], *, limit: int = 6, shots: Sequence[int] = (0, 2)) -> Plan:
    values = {
        "tasks": tasks.split(","),
        "shots": list(shots),
        "limit": limit,
        "data": "mini",
        "controls": list(controls),
    }
    return make_plan(parse_config(values, "here"), Plugins())


def asked(cell: Cell) -> dict[str, Request]:
    return {key: next(cell.ask(sample, cell.exemplars(sample))) for key, sample in cell.samples.items()}


def test_a_control_is_a_further_cell_of_the_same_samples_and_exemplars_behind_its_own() -> None:
    plan = plan_of("vqav2,piqa", ["image=none", "exemplars=shuffled-labels"])
    assert [cell.name for cell in plan.cells] == [
        "vqav2@mini|0",
        "vqav2@mini|0~image=none",
        "vqav2@mini|2",
        "vqav2@mini|2~image=none",
        "vqav2@mini|2~exemplars=shuffled-labels",
        "piqa@mini|0",
        "piqa@mini|2",
    ]
    assert plan.uncontrolled("image=none") == {"piqa@mini": "its samples have no pictures"}
    main, blind, relabelled = plan.cells[2:5]
    for cell in (blind, relabelled):
        assert cell.samples is main.samples
        assert all(cell.exemplars(each) == main.exemplars(each) for each in main.samples.values())
        prints = cell.fingerprints
        assert {**prints, "prompts": ""} == {**main.fingerprints, "prompts": ""}
        assert prints["prompts"] != main.fingerprints["prompts"]


def test_a_bundle_holds_a_unit_and_those_of_its_controls() -> None:
    plan = plan_of("vqav2", ["image=none", "image=blank"], limit=100, shots=(2,))
    without = plan_of("vqav2", [], limit=100, shots=(2,))
    assert [bundle[0] for bundle in plan.bundles] == list(without.units)
    for main, *others in plan.bundles:
        assert [unit.cell for unit in others] == ["vqav2@mini|2~image=none", "vqav2@mini|2~image=blank"]
        assert all((unit.keys, unit.main) == (main.keys, main.id) for unit in others)
    assert sorted(unit.id for bundle in plan.bundles for unit in bundle) == sorted({unit.id for unit in plan.units})


def test_neither_limit_nor_shots_change_what_stands_in_for_a_picture() -> None:
    names = ("image=noise", "image=shuffled", "image=other-sample")
    small, large = (
        {cell.control: asked(cell) for cell in plan_of("vqav2", names, limit=limit, shots=shots).cells if cell.control}
        for limit, shots in ((3, (0,)), (12, (1,)))
    )
    for name in names:
        for key, request in small[name].items():
            assert request.images == large[name][key].images[1:]


def test_a_control_that_applies_to_no_task_is_refused() -> None:
    said = r"expected a task that control image=none applies to, got none \(piqa@mini: its samples have no pictures\)"
    with pytest.raises(UsageError, match=said):
        plan_of("piqa", ["image=none"], shots=(0,))
    with pytest.raises(UsageError, match=r"vqav2@mini: it has no exemplars at 0 shots"):
        plan_of("vqav2", ["exemplars=shuffled-labels"], shots=(0,))


MULTIMODAL = (
    "vqav2,vizwiz,raven,hateful_memes,rendered_sst2,rendered_sst2_cot,websrc,visdial,coco_caption,flickr30k_caption,"
    "cub_descriptions,imagenet,refcoco,refcocog_generation,flickr30k_entities"
)


def test_every_task_with_pictures_can_be_asked_under_every_control_that_it_allows() -> None:
    plan = plan_of(MULTIMODAL, tuple(CONTROLS), limit=1, shots=(1,))
    mains = {cell.name: asked(cell) for cell in plan.cells if cell.main is None}
    assert len(mains) == len(MULTIMODAL.split(","))
    for cell in plan.cells:
        if cell.main is None:
            continue
        before = mains[cell.main.name]
        for key, request in asked(cell).items():
            if (
                cell.control.startswith("image=") or cell.task.name != "rendered_sst2_cot"
            ):  # which first has no question
                assert request != before[key], cell.name
            own = set(cell.samples[key].images)
            if cell.control.startswith("image="):
                assert own.isdisjoint(request.images), cell.name
                assert own <= set(before[key].images), cell.name
            if cell.control == "image=text-only":
                assert not request.images, cell.name
    assert Counter(cell.control for cell in plan.cells)["image=none"] == len(mains)


def test_pictures_are_made_when_they_are_opened_and_not_kept() -> None:
    opened = Counter[str]()

    def draw(name: str) -> PIL.Image.Image:
        opened[name] += 1
        return PIL.Image.new("RGB", (8, 8), (1, 2, 3))

    sample = Item(key="lazy", shown=(Image(partial(draw, "own"), "own"),))
    asker = controlled("image=noise")
    (image,) = next(asker.ask(sample, ())).images
    assert not opened
    image.load()
    image.load()
    assert opened["own"] == 2
    assert next(asker.ask(sample, ())).images[0] is image
