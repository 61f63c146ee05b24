"""Pictures to embeddings: decoded by workers ahead of the model, encoded once, kept in host memory within bounds.

Every pass of the vision tower has the same number of rows, and what is missing from the last one is filled up with
zeros. In passes of one shape the embeddings of an image have the same bits whatever stands beside it and in whichever
row it stands, so they depend on weights and pixels alone. That is why they may be kept from one stream of requests to
the next, and why pictures may come from one pass or another, without a trace in the answers.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import torch

from ..preprocess import pixels_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from concurrent.futures import Future

    from jaxtyping import Float
    from torch import Tensor

    from kosmos_eval.prompt import Image

    from ..kosmos import Kosmos

CAPACITY = 1 << 30
"""Bytes of embeddings that are kept, if nothing is said: those of 2,048 images of KOSMOS-2 in float32."""

_TOKENS_A_PASS = {"cpu": 300, "cuda": 1 << 12}
"""Vision tokens that a pass has at most, if it has more than one image: on a CPU, more make images little cheaper.

On two cores, the embedded model's tower (37 tokens an image) takes 8.8 ms an image in passes of one, 4.3 of four, 3.5
of eight, 3.1 of 32; one as wide as CLIP's ViT-L (257 tokens), on one core, 1.5 s in passes of one, two, four and eight.
"""

_MOST_ROWS = 64
_MOST_WORKERS = 4
_BYTES_AHEAD = 1 << 26
_MOST_AHEAD = 256


class _Coming(NamedTuple):
    """A picture that a worker has, or has had, in hand; holding the image keeps its `id` its own."""

    image: Image
    pixels: Future[Float[Tensor, "3 Y X"]]


class ImageStore:
    """The embeddings of images under one model, by the digest of their pixels.

    The model, and with it the picture's size and the preprocessing (`model.preprocess.PREPROCESSING`), is the same for
    as long as a store lives, so the digest is the whole key. Only one thread may use a store. Its workers end with it.

    Attributes:
        rows: images in one pass of the vision tower.
        ahead: most pictures whose pixels wait to be asked for; `features` may hold as many again while it runs.
        kept_bytes: of embeddings in host memory now.
    """

    def __init__(
        self,
        model: Kosmos,
        device: torch.device | str,
        dtype: torch.dtype,
        capacity: int = CAPACITY,
        workers: int | None = None,
    ) -> None:
        """Keep what embeddings depend on; nothing is started yet.

        Args:
            model: in evaluation mode.
            device: where the model takes pixels, and where embeddings are wanted.
            dtype: of the weights.
            capacity: most bytes of embeddings kept, beside those that a call returns.
            workers: threads that decode; `None`: as many as torch has in this process, which is its share of the
                cores, but at most 4.
        """
        config = model.config
        self._model, self._device, self._dtype = model, torch.device(device), dtype
        self._size, self._shape = config.image_size, (config.image_tokens, config.decoder.width)
        most = _TOKENS_A_PASS.get(self._device.type, _TOKENS_A_PASS["cpu"])
        self.rows = min(_MOST_ROWS, max(1, most // config.vision.tokens)) if config.vision else 0
        bytes_a_picture = max(1, 3 * self._size**2 * 4)
        self.ahead = max(2 * self.rows, min(_MOST_AHEAD, _BYTES_AHEAD // bytes_a_picture))
        self._capacity, self.kept_bytes = capacity, 0
        self._kept: OrderedDict[str, Float[Tensor, "L D"]] = OrderedDict()
        self._expected: deque[Image] = deque()
        self._coming: dict[int, _Coming] = {}
        self._guessed: tuple[Image, ...] = ()
        self._past: tuple[Image, ...] = ()
        self._later: deque[Image] = deque()
        self._workers = ThreadPoolExecutor(workers or min(_MOST_WORKERS, torch.get_num_threads()), "images")
        weakref.finalize(self, self._workers.shutdown, wait=False, cancel_futures=True)

    def expect(self, images: Iterable[Image]) -> None:
        """Let workers decode, resize and normalise images that will be asked for, behind those expected before.

        A picture that cannot be read is no error yet; `digest` and `features` say so when its turn comes.
        """
        if self.rows:
            self._expected.extend(images)
            self._start_next()

    def guess(self, images: Iterable[Image]) -> None:
        """Let workers read images that are likely to be asked for later on, when nothing that is expected is left.

        A new guess takes the place of an earlier one, whose pixels are let go by the next `forget`.
        """
        self._past, self._guessed = (*self._past, *self._guessed), tuple(images)
        self._later = deque(self._guessed)
        self._start_next()

    def forget(self, images: Iterable[Image]) -> None:
        """Expect these images no more, and let go of their pixels; embeddings are kept."""
        guessed = {id(image) for image in self._guessed}
        gone = {id(image) for image in (*images, *self._past)} - guessed
        self._past = ()
        self._expected = deque(image for image in self._expected if id(image) not in gone)
        self._let_go(gone, ())
        self._start_next()

    def digest(self, image: Image) -> str:
        """Return an image's digest; if a worker has the picture in hand, wait for it rather than open it once more.

        Raises:
            DataError: the picture cannot be read.
        """
        coming = self._coming.get(id(image))
        if coming is not None and image.known_digest is None:
            coming.pixels.result()
        if coming is not None and self._expected and self._expected[0].known_digest is None:
            # More pictures than may wait: better that all are opened by workers, and some twice, than one by one here.
            del self._coming[id(image)]
            self._start_next()
        return image.digest

    @torch.inference_mode()
    def features(self, images: Sequence[Image]) -> Float[Tensor, "N L D"]:
        """Return the embeddings of images in order, on the device, not yet scaled.

        Raises:
            DataError: a picture cannot be read; the first one in order is named.
            UsageError: there are images, and the model has no vision tower.
        """
        found = torch.empty(len(images), *self._shape, dtype=self._dtype, device=self._device)
        if not images:
            return found
        self._model.eyes()
        firsts: dict[str, int] = {}  # digest to the place where it comes first
        sources: list[int] = []
        batch: list[tuple[str, Tensor]] = []
        own = {id(image): image for image in images}
        self._expected = deque(image for image in self._expected if id(image) not in own)
        left, most = deque(own.values()), self.ahead + len(self._coming)
        try:
            for image in images:
                self._start(left, most)
                if not left:
                    self._start_next()
                digest, pixels = self._take(image)
                sources.append(firsts.setdefault(digest, len(sources)))
                if sources[-1] != len(sources) - 1:
                    continue
                if digest in self._kept:
                    self._kept.move_to_end(digest)
                    found[sources[-1]].copy_(self._kept[digest], non_blocking=True)
                    continue
                batch.append((digest, pixels if pixels is not None else _read(image, self._size)))
                if len(batch) == self.rows:
                    self._encode(batch, found, firsts)
                    batch.clear()
            if batch:
                self._encode(batch, found, firsts)
        finally:
            self._let_go(own, firsts)
        self._start_next()
        return found if len(firsts) == len(images) else found[torch.tensor(sources, device=self._device)]

    def _start_next(self) -> None:
        """Give the workers what is expected, and if that is all under way, what is guessed."""
        self._start(self._expected, self.ahead)
        if self.rows and not self._expected:
            self._start(self._later, self.ahead)

    def _start(self, queue: deque[Image], most: int) -> None:
        """Give the workers the next pictures of a queue, until as many as may be are under way."""
        while queue and len(self._coming) < most:
            image = queue.popleft()
            if id(image) not in self._coming and image.known_digest not in self._kept:
                self._coming[id(image)] = _Coming(image, self._workers.submit(_read, image, self._size))

    def _take(self, image: Image) -> tuple[str, Float[Tensor, "3 Y X"] | None]:
        """Return an image's digest, and its pixels if a worker was given them to fetch."""
        coming = self._coming.get(id(image))
        pixels = coming.pixels.result() if coming is not None else None
        self._coming.pop(id(image), None)
        return image.digest, pixels

    def _let_go(self, own: Container[int], encoded: Container[str]) -> None:
        """Drop the pixels of these images, decoded or not, and of others that turned out to be the same pictures."""
        for key, (image, pixels) in list(self._coming.items()):
            if key in own or image.known_digest in encoded or image.known_digest in self._kept:
                pixels.cancel()
                del self._coming[key]

    def _encode(
        self, batch: Sequence[tuple[str, Float[Tensor, "3 Y X"]]], found: Float[Tensor, "N L D"], places: dict[str, int]
    ) -> None:
        """Encode at most `rows` pictures in a pass of `rows`; put them in their places, and keep them."""
        pixels = torch.zeros(self.rows, 3, self._size, self._size)
        torch.stack([each for _, each in batch], out=pixels[: len(batch)])
        embeddings = self._model.image_embeddings(pixels.to(self._device, self._dtype)).to(self._device)[: len(batch)]
        # One block a pass: thousands of small ones, strewn over the heap, would keep all that lies between from use.
        pinned = self._device.type == "cuda"
        kept = torch.empty(embeddings.shape, dtype=self._dtype, pin_memory=pinned).copy_(embeddings)
        for (digest, _), one, copy in zip(batch, embeddings, kept, strict=True):
            found[places[digest]] = one
            self._keep(digest, copy)

    def _keep(self, digest: str, embeddings: Float[Tensor, "L D"]) -> None:
        """Keep an image's embeddings, and drop what has not been used for longest beyond capacity."""
        self._kept[digest] = embeddings
        self.kept_bytes += embeddings.nbytes
        while self.kept_bytes > self._capacity:
            _, oldest = self._kept.popitem(last=False)
            self.kept_bytes -= oldest.nbytes


def _read(image: Image, size: int) -> Float[Tensor, "3 Y X"]:
    """Return an image's pixels; Pillow and numpy alone are at work, without the threads of torch."""
    return pixels_of(image.load(), size)
