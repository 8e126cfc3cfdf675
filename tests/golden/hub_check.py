#!/usr/bin/env python3
"""Checks `ft-single download` against transformers and huggingface_hub, over the hub for tests.

    python tests/golden/hub_check.py --ft-single BUILD/bin/ft-single --hub-server BUILD/tests/support/hub_server

Needs torch, transformers and huggingface_hub, and no network. It makes a random Llama in several shards with the demo's tokenizer,
serves it on the loopback, and then:
  1. downloads it and generates from it with transformers, offline, by its id;
  2. deletes blobs, shortens one to an unfinished file, and lets huggingface_hub complete what is left;
  3. the other way round: half of a cache of huggingface_hub's, completed by ft-single;
  4. compares both caches: paths, link targets, bytes of every file.
It prints a line per check and exits with 1 at the first that fails.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]


def make_model(directory: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(vocab_size=2048, hidden_size=256, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory, max_shard_size="4MB")
    for name in TOKENIZER:
        shutil.copy(Path("configs/demo") / name, directory)


def in_python(code: str, environment: dict) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    check(done.returncode == 0, f"python: {code.strip().splitlines()[0]}", done.stderr[-2000:])
    return done.stdout.strip()


def check(good: bool, what: str, detail: str = "") -> None:
    print(("ok    " if good else "WRONG ") + what)
    if not good:
        print(detail)
        sys.exit(1)


def layout(home: Path) -> dict:
    """Every file and link of the cache but locks, the tag and huggingface_hub's own listings."""
    found = {}
    hub = home / "hub"
    for path in sorted(hub.rglob("*")):
        name = str(path.relative_to(hub))
        if name.startswith(".locks") or "/trees" in name or "/.unfinished" in name or path.name == "CACHEDIR.TAG":
            continue
        if path.is_symlink():
            found[name] = "-> " + os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


GENERATE = """
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("org/llama")
tokenizer = AutoTokenizer.from_pretrained("org/llama")
ids = tokenizer("The old house", return_tensors="pt")
print(model.generate(**ids, max_new_tokens=8, do_sample=False).tolist()[0])
"""
SNAPSHOT = """
from huggingface_hub import snapshot_download
print(snapshot_download("org/llama"))
"""


class Setting:
    def __init__(self, arguments: argparse.Namespace, root: Path):
        self.ft_single = arguments.ft_single
        self.root = root
        self.served = root / "served/models/org/llama"
        self.served.mkdir(parents=True)
        make_model(self.served)
        self.log = root / "log"
        self.server = subprocess.Popen([arguments.hub_server, str(root / "served"), "--log", str(self.log)], stdout=subprocess.PIPE, text=True)
        self.endpoint = self.server.stdout.readline().strip()

    def environment(self, home: Path, offline: bool = False) -> dict:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        return kept | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1" if offline else "0",
                       "HF_HUB_DISABLE_TELEMETRY": "1"}

    def download(self, home: Path) -> str:
        done = subprocess.run([self.ft_single, "download", "org/llama", "--all"], env=self.environment(home), capture_output=True, text=True)
        check(done.returncode == 0, "ft-single download org/llama --all", done.stderr)
        return done.stdout.strip()

    def bytes_served(self) -> int:
        lines = [line.split() for line in self.log.read_text().splitlines()]
        self.log.write_text("")
        return sum(int(words[words.index("bytes") + 1]) for words in lines)


def halve(home: Path) -> int:
    """Takes the last shard away and leaves the first one unfinished; returns the bytes that are then missing."""
    snapshot = next((home / "hub/models--org--llama/snapshots").iterdir())
    shards = sorted(snapshot.glob("*.safetensors"))
    first, last = shards[0].resolve(), shards[-1].resolve()
    missing = last.stat().st_size + first.stat().st_size // 2
    last.unlink()
    shards[-1].unlink()
    half = first.stat().st_size - first.stat().st_size // 2
    with open(first, "r+b") as file:
        file.truncate(half)
    first.rename(str(first) + ".incomplete")
    shards[0].unlink()
    return missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ft-single", required=True)
    parser.add_argument("--hub-server", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        setting = Setting(arguments, Path(directory))
        try:
            run(setting)
        finally:
            setting.server.kill()


def run(setting: Setting) -> None:
    ours, theirs = setting.root / "ours", setting.root / "theirs"
    whole = sum(path.stat().st_size for path in setting.served.iterdir())
    shards = len(list(setting.served.glob("*.safetensors")))
    print(f"{shards} shards, {whole} bytes in all; huggingface_hub and transformers as installed")
    snapshot = setting.download(ours)
    check(setting.bytes_served() == whole, "every byte was sent once")
    ids = in_python(GENERATE, setting.environment(ours, offline=True))
    check(ids.startswith("["), f"transformers generates offline from the id: {ids}")

    path = in_python(SNAPSHOT, setting.environment(theirs))
    check(path.split("/")[-1] == snapshot.split("/")[-1], "snapshot_download names the same commit")
    check(layout(ours) == layout(theirs), "both caches hold the same paths, links and bytes")
    setting.bytes_served()

    in_python(SNAPSHOT, setting.environment(ours))
    check(setting.bytes_served() == 0, "snapshot_download finds nothing to do in our cache")
    halve(ours)
    in_python(SNAPSHOT, setting.environment(ours))
    left = {name: value for name, value in layout(ours).items() if not name.endswith(".incomplete")}
    check(left == layout(theirs), f"snapshot_download completes our cache ({setting.bytes_served()} bytes)")

    missing = halve(theirs)
    setting.download(theirs)
    fetched = setting.bytes_served()
    check(fetched == missing, f"ft-single completes theirs with the missing {missing} bytes (fetched {fetched})")
    check(layout(theirs) == left, "and leaves the same files")
    ids_again = in_python(GENERATE, setting.environment(theirs, offline=True))
    check(ids_again == ids, "transformers generates the same from it")


if __name__ == "__main__":
    main()
