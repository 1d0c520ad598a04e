"""Captions of recipes, drawn anew each time, and the word pieces learnt from them."""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

from render import BACKGROUNDS, TINTS, Recipe, load_entries

sys.path.insert(0, str(Path(__file__).parent.parent))
from sdserver.tokenizer import WORD_START, Tokenizer, words_of

LEADS = ["a picture of", "a drawing of", "an emoji of", "a photo of", "an icon of", "draw", "one"]
MERGES = 2600
TOKENIZER = Path(__file__).parent / "runs" / "tokenizer.json"


class Captioner:
    def __init__(self, entries: list[dict]) -> None:
        self._entries = entries
        seen = Counter(k for e in entries for k in e["keywords"])
        # A keyword that many emoji share says little of each: it is drawn less often.
        self._weights = [[1 / seen[k] for k in e["keywords"]] for e in entries]

    def caption(self, recipe: Recipe, rng: random.Random) -> str:
        names = [self._name(rng, i, brief=len(recipe.objects) > 1) for i in recipe.objects]
        if recipe.tint:
            names = [
                f"{recipe.tint} {names[0]}"
                if rng.random() < 0.85
                else f"{names[0]} in {recipe.tint}"
            ]
        names = [article(rng, name) for name in names]
        text = rng.choice([" and ", " and ", " and ", " with ", " next to ", ", "]).join(names)
        if rng.random() < 0.12:
            text = f"{rng.choice(LEADS)} {text}"
        if rng.random() < 0.3:
            ground = recipe.background
            text += rng.choice(
                [f" on a {ground} background", f" on {ground}", f", {ground} ground"]
            )
        return text

    def _name(self, rng: random.Random, index: int, *, brief: bool) -> str:
        entry, draw = self._entries[index], rng.random()
        if draw < (0.15 if brief else 0.25) and entry["keywords"]:
            chosen = rng.choices(entry["keywords"], self._weights[index], k=2 if not brief else 1)
            if draw < 0.08 and not brief:
                return f"{entry['names'][0]} {chosen[0]}"
            return " ".join(dict.fromkeys(chosen)) if draw < 0.16 else chosen[0]
        if draw > 0.82:
            return rng.choice(entry["names"])
        return entry["names"][0]


def article(rng: random.Random, name: str) -> str:
    draw = rng.random()
    if draw < 0.5:
        return name
    return f"the {name}" if draw > 0.95 else f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def learn_pieces(entries: list[dict], merges: int) -> list[str]:
    """Byte-pair merging over the words of all names and keywords; names weigh more."""
    counts: Counter[str] = Counter()
    for entry in entries:
        for weight, texts in ((4, entry["names"]), (1, entry["keywords"])):
            for text in texts:
                counts.update(dict.fromkeys(words_of(text), weight))
    common = " ".join(LEADS) + " a an the and with next to on in background "
    counts.update(dict.fromkeys(words_of(common + " ".join([*TINTS, *BACKGROUNDS])), 50))
    spelled = {word: [WORD_START + word[0], *word[1:]] for word in counts}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*letters, *(WORD_START + c for c in letters)]
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in spelled.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        pieces.append("".join(best))
        for word, parts in spelled.items():
            if best[0] in parts:
                spelled[word] = merged(parts, best)
    return list(dict.fromkeys(pieces))


def merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def tokenizer(entries: list[dict]) -> Tokenizer:
    """The learnt tokenizer, from its file if there is one."""
    if not TOKENIZER.exists():
        TOKENIZER.parent.mkdir(exist_ok=True)
        TOKENIZER.write_text(json.dumps({"pieces": learn_pieces(entries, MERGES)}))
    return Tokenizer.load(TOKENIZER)


if __name__ == "__main__":
    loaded, rng = load_entries(), random.Random(0)
    known = tokenizer(loaded)
    print(known.size, "pieces")
    captioner = Captioner(loaded)
    recipes = [
        Recipe(**r) for r in json.loads((Path(__file__).parent / "data/recipes.json").read_text())
    ]
    for recipe in rng.sample(recipes, 25):
        print(captioner.caption(recipe, rng))
    for prompt in ("pizza and a rocket", "a red heart", "Kätzchen 🐱", "猫", "skyscraperish"):
        ids = [i for i in known.encode(prompt) if i]
        print(prompt, ids, [known.pieces[i - 66] if i >= 66 else i for i in ids])
