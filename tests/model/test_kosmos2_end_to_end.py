"""A random KOSMOS-2 with the released tokenizer is measured by one command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from kosmos_eval.model.kosmos import Kosmos
from kosmos_eval.model.layouts import HEAD, TRANSFORMERS, transformers_config

RELEASED = Path(__file__).parents[3] / "shared" / "samples" / "kosmos-2-tokenizer"

CONFIG = {
    "model_type": "kosmos-2",
    "latent_query_num": 4,
    "text_config": {"embed_dim": 32, "layers": 1, "ffn_dim": 32, "attention_heads": 2, "vocab_size": 65037},
    "vision_config": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 28,
    },
}


@pytest.mark.skipif(not RELEASED.is_dir(), reason="the released tokenizer is not here")
@pytest.mark.parametrize("how", ["--model FOLDER", "--model_args pretrained=FOLDER"])
def test_a_public_folder_is_measured_by_one_command(tmp_path: Path, how: str) -> None:
    folder, out = tmp_path / "a-kosmos-2", tmp_path / "out"
    folder.mkdir()
    for name in ("sentencepiece.bpe.model", "dict.txt"):
        shutil.copy(RELEASED / name, folder)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    model = Kosmos.initialised(transformers_config(CONFIG, "config"), 1)
    state = {name: weight for name, weight in model.state_dict().items() if name != HEAD}
    wanted = TRANSFORMERS.wanted({name: weight.shape for name, weight in state.items()}, 14)
    weights = {theirs: state[ours].reshape(shape).contiguous() for ours, (theirs, shape) in wanted.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    chosen = ["--model", str(folder)]
    if how.startswith("--model_args"):
        chosen = ["--model", "kosmos", "--model_args", f"pretrained={folder}"]
    flags = ["--tasks", "vqav2", "--data", "mini", "--limit", "4", "--report", "", "-q", "-o", str(out)]
    command = [sys.executable, "-m", "kosmos_eval.cli", "run", *chosen, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [cell["effective"] for cell in results["n-samples"].values()] == [4]
