from __future__ import annotations

import os
import subprocess
import sys

_ANSWER_A_STREAM = """
import hashlib, io, random, sys
import PIL.Image, torch
torch.set_num_threads(int(sys.argv[1]))
from kosmos_eval.model.config import KOSMOS_TINY
from kosmos_eval.model.engine import KosmosModel
from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.prompt import Image, Prompt
from kosmos_eval.request import Continuation, Generate, Score

class Letters:
    bos, pad, eos, unk, image_begin, image_end = range(6)
    vocabulary_size = 1024
    def encode(self, text): return [6 + 7 * ord(letter) % 1000 for letter in text]
    def decode(self, ids): return " ".join(map(str, ids))

def picture(number):
    buffer = io.BytesIO()
    PIL.Image.frombytes("RGB", (64, 64), random.Random(number).randbytes(3 * 64 * 64)).save(buffer, "png")
    return Image.from_bytes(buffer.getvalue(), str(number))

rng = random.Random(0)
def text(most): return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(1, most)))
pictures = [picture(number) for number in range(12)]
long = Prompt.of(*(part for each in pictures for part in (text(9), each)), "which?")
requests = [Score(long, tuple(Continuation("Yes", Prompt.of(each, "right?")) for each in pictures[:5]))]
for each in pictures:
    prompt = Prompt.of(each, text(30))
    requests += [Generate(prompt, rng.randint(1, 9), num_beams=rng.choice([1, 1, 3]))]
    requests += [Score(prompt, tuple(Continuation(text(6)) for _ in range(9)))]
answers = list(KosmosModel(Kosmos.initialised(KOSMOS_TINY, 0), Letters()).answer(enumerate(requests)))
print(len(answers), hashlib.sha256(repr(answers).encode()).hexdigest())
"""


def _bits(threads: int) -> str:
    # Threads that wait without spinning do not starve each other on a busy machine.
    environment = os.environ | {"MKL_CBWR": "AVX2,STRICT", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", _ANSWER_A_STREAM, str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_answers_have_the_same_bits_with_one_thread_and_with_two() -> None:
    one = _bits(1)
    assert one.startswith("25 ")
    assert _bits(2) == one
