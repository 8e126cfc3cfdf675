#!/usr/bin/env python3
"""Makes small data sets as hubs hold them: Parquet files in `data`, and the same records as JSON lines.

    pip install pyarrow==26.0.1 && python3 make_datasets.py

finetome/data/train-0000N-of-00002.parquet  columns of mlabonne/FineTome-100k: conversations (from, value), source, score
alpaca/data/train-00000-of-00001.parquet    columns of tatsu-lab/alpaca: instruction, input, output, text
finetome.jsonl, alpaca.jsonl                the same records in the same order
"""
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent


def finetome(i):
    turns = [{"from": "human", "value": f"What is {i} + {i}?\n\nThink."}, {"from": "gpt", "value": f"It is {2 * i}. Größe {i} 🙂"}]
    if i % 3 == 0:
        turns.insert(0, {"from": "system", "value": "You are terse."})
    if i % 4 == 1:
        turns += [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Because.\n" * (i % 5 + 1)}]
    return {"conversations": turns, "source": f"set_{i % 2}", "score": 4.5 + i / 100}


def alpaca(i):
    return {"instruction": f"Name {i} things.", "input": "From the kitchen." if i % 2 else "", "output": "pan " * (i + 1),
            "text": "Below is an instruction"}


def write(name, rows, parts):
    (HERE / name / "data").mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // parts)
    schema = pa.Table.from_pylist(rows).schema
    for part in range(parts):
        table = pa.Table.from_pylist(rows[part * size:(part + 1) * size], schema=schema)
        pq.write_table(table, HERE / name / "data" / f"train-{part:05}-of-{parts:05}.parquet", compression="SNAPPY", store_schema=False)
    (HERE / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write("finetome", [finetome(i) for i in range(24)], 2)
    write("alpaca", [alpaca(i) for i in range(10)], 1)
