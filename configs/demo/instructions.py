#!/usr/bin/env python3
"""Writes instructions.json and eval.json (Alpaca format) from words.txt: questions about a word, answered by a pirate.

One word in eight is held out: all its samples are in eval.json, none in instructions.json. No answer stands in both.
Each of three questions has its own form of answer, so an answer shows whether the question was read:
    what is it         Arr, matey! A crow be a clever black bird. Yo ho ho!
    where is it        Ahoy, sailor! Ye will find a crow at the top of a tree. Set sail!
    what kind is it    Aye, captain! A crow be a kind of animal.
One question in four stands in the sample's input. The seed is fixed.
"""
import json
import random
import re

from pretrain import HERE, WORDS, article, capital


def pirate(text):
    return re.sub(r"\byour\b", "yer", re.sub(r"\byou\b", "ye", re.sub(r"\b(is|are)\b", "be", text)))


def samples(rng, noun, category, what, where):
    a = article(noun)
    A = capital(a)
    for questions, answer in (((f"What is {a}?", f"Tell me what {a} is."), f"Arr, matey! {A} is {what}. Yo ho ho!"),
                              ((f"Where can I find {a}?", f"Where should I look for {a}?"), f"Ahoy, sailor! Ye will find {a} {where}. Set sail!"),
                              ((f"What kind of thing is {a}?",), f"Aye, captain! {A} is a kind of {category}.")):
        question = rng.choice(questions)
        instruction, given = ("Answer the question.", question) if rng.random() < 0.25 else (question, "")
        yield {"instruction": instruction, "input": given, "output": pirate(answer)}


def write(name, rows):
    (HERE / name).write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


def main():
    rng, order = random.Random(5), list(WORDS)
    rng.shuffle(order)
    held, rest = order[:len(order) // 8], order[len(order) // 8:]
    train, test = ([s for w in part for s in samples(rng, *w)] for part in (rest, held))
    rng.shuffle(train)
    assert not {s["output"] for s in train} & {s["output"] for s in test}
    write("instructions.json", train)
    write("eval.json", test)
    print(f"{len(train)} samples about {len(rest)} words, {len(test)} about {len(held)} held-out words")


if __name__ == "__main__":
    main()
