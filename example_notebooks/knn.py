"""Classify digits by their nearest neighbours: results/train.csv and test.csv in, results/nearest-K-SHIFT.json out.

Params: `k` neighbours vote; with `shift` 1 each known digit is also known as moved by a pixel in all eight directions.
"""

import csv
import json
import math
import os
from collections import Counter
from itertools import product
from pathlib import Path

SIDE = 8  # pixels
Pixels = tuple[int, ...]
Digit = tuple[Pixels, str]


def read(path: str) -> list[Digit]:
    with open(path, newline="") as file:
        return [(tuple(map(int, pixels)), digit) for *pixels, digit in csv.reader(file)]


def moved(pixels: Pixels, *, right: int, down: int) -> Pixels:
    inside = range(SIDE)
    places = ((row - down, column - right) for row, column in product(inside, inside))
    return tuple(pixels[SIDE * row + column] if row in inside and column in inside else 0 for row, column in places)


def guess(pixels: Pixels, known: list[Digit], *, k: int) -> str:
    nearest = sorted((math.dist(pixels, other), digit) for other, digit in known)[:k]
    return Counter(digit for _, digit in nearest).most_common(1)[0][0]


def main() -> None:
    k, shift = int(os.environ["k"]), int(os.environ["shift"])
    asked, steps = read("results/test.csv"), range(-shift, shift + 1)
    known = [(moved(p, right=x, down=y), digit) for p, digit in read("results/train.csv") for x, y in product(steps, steps)]
    right = 0
    for count, (pixels, digit) in enumerate(asked, 1):
        right += guess(pixels, known, k=k) == digit
        if count % 20 == 0 or count == len(asked):
            print(f"# hybridnb progress={100 * count / len(asked):.1f} accuracy={right / count:.4f}", flush=True)
    method = f"nearest {k}" + ", shifted" * shift
    Path(f"results/nearest-{k}-{shift}.json").write_text(json.dumps({"method": method, "accuracy": right / len(asked)}))


if __name__ == "__main__":
    main()
