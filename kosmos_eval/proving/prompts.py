"""Proofs of prompts: they show their images and not the answer, and exemplars that are not the query."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kosmos_eval.exemplars import ExemplarPool
from kosmos_eval.near_copies import Look
from kosmos_eval.request import Generate, request_digest

from .oracle import Perfect
from .subject import FaultError, NotProvable, asked

if TYPE_CHECKING:
    from kosmos_eval.request import Request
    from kosmos_eval.task import Sample

    from .subject import Asked, Subject


def prove_images(subject: Subject) -> str:
    """Prove that a prompt shows all images of its sample and exemplars, no others, and no mark that looks like one."""
    shown = 0
    for cell in subject.cells:
        for each in subject.perfect(cell):
            place = f"sample {each.sample.key}, {cell.shots}-shot"
            used = {image.digest for request in each.requests for image in request.images}
            own = {image.digest for image in each.sample.images}
            others = {image.digest for other in each.exemplars for image in other.images}
            if own - used:
                raise FaultError(place, f"expected all {len(own)} images in what is asked, {len(own - used)} are not")
            if strange := used - own - others:
                raise FaultError(place, f"{len(strange)} of the images are neither the sample's nor its exemplars'")
            shown += sum(_count_images(request, place) for request in each.requests)
    return f"{shown:,} images shown, as many as marks"


def _count_images(request: Request, place: str) -> int:
    """Return how many images a prompt shows, after looking for texts that look like one."""
    marks, images = request.prompt.text().count("<image>"), len(request.prompt.images)
    if marks != images:
        raise FaultError(place, f"expected {images} <image> marks, as many as images, got {marks}: one is text")
    return images


def prove_leak(subject: Subject) -> str:
    """Prove that the best answer does not stand in the query."""
    zero = replace(subject.cell, shots=0, pool=ExemplarPool[Any](()))
    looked = 0
    for each in asked(zero, subject.labelled, Perfect(subject.provable)):
        best, prompt = _best_text(subject, each), each.requests[0].prompt.text()
        if not best:
            continue
        looked += 1
        if re.search(rf"(?<!\w){re.escape(best)}(?!\w)", prompt, re.IGNORECASE):
            place = f"sample {each.sample.key}"
            raise FaultError(place, f"the answer {best!r:.80} stands in the prompt {prompt!r:.200}")
    if not looked:
        message = "all options read alike, and no text is written"
        raise NotProvable(message)
    return f"{looked} samples: the best answer does not stand in the query"


def _best_text(subject: Subject, each: Asked) -> str:
    """Return the best answer to a sample's first request as text; empty where all options read alike."""
    request = each.requests[0]
    if isinstance(request, Generate):
        return str(subject.provable.gold(each.sample, request)).strip()
    if len({option.text for option in request.continuations}) == 1:
        return ""
    weights = list(Perfect(subject.provable).weights(each.sample, request))
    return request.continuations[weights.index(max(weights))].text.strip()


def prove_exemplars(subject: Subject) -> str:
    """Prove that exemplars are shown, and are neither the query nor a picture like the query's."""
    cells = [cell for cell in subject.cells if cell.shots]
    if not cells:
        message = "no shots were asked for"
        raise NotProvable(message)
    bare = {each.sample.key: _digests(each) for each in subject.perfect(subject.cell)}
    looks: dict[int, Look] = {}
    drawn = 0
    for cell in cells:
        for each in subject.perfect(cell):
            drawn += len(each.exemplars)
            place = f"sample {each.sample.key}, {cell.shots}-shot"
            if cell is not subject.cell and _digests(each) == bare[each.sample.key]:
                raise FaultError(place, f"expected exemplars in the prompts, got the {subject.cell.shots}-shot ones")
            own = _looks(each.sample, looks)
            for other in each.exemplars:
                if other.key == each.sample.key and subject.task.split == subject.task.exemplar_split:
                    raise FaultError(place, "its exemplars hold the sample itself")
                pictures = _looks(other, looks)
                if pictures and all(any(one.near(mine) for mine in own) for one in pictures):
                    names = ", ".join(one.image.name for one in pictures)
                    raise FaultError(place, f"exemplar {other.key} shows a near copy of its picture ({names:.120})")
    return f"{drawn} exemplars drawn: none is the query or shows its picture or a near copy"


def _digests(each: Asked) -> list[str]:
    return [request_digest(request) for request in each.requests]


def _looks(sample: Sample, known: dict[int, Look]) -> list[Look]:
    return [known.setdefault(id(image), Look(image)) for image in sample.images]
