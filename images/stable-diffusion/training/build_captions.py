"""Make `captions.json`: which emoji the model learns, by what names and keywords.

Run once, by hand, whenever the selection changes; training reads only the file it writes. The
source is the npm package `emojibase-data` (MIT), whose labels and tags are the Unicode CLDR's
names and keywords (Unicode License v3):

    npm pack emojibase-data && tar xzf emojibase-data-*.tgz
    python3 build_captions.py package/en
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

# Subgroups whose pictures are things somebody would ask for. Left out are flags, keycaps, arrows,
# clock faces and other signs, and people with skin tones and genders (many near-equal pictures).
SUBGROUPS = """
cat-face emotion face-affection face-concerned face-costume face-glasses face-hand face-hat
face-negative face-neutral-skeptical face-sleepy face-smiling face-tongue face-unwell heart
monkey-face animal-amphibian animal-bird animal-bug animal-mammal animal-marine animal-reptile
plant-flower plant-other dishware drink food-asian food-fruit food-prepared food-sweet
food-vegetable hotel place-building place-geographic place-other place-religious
sky-weather transport-air transport-ground transport-water arts-crafts award-medal event game
sport book-paper clothing computer household light-video lock mail medical money music
musical-instrument other-object phone science tool
""".split()
PEOPLE = """
baby boy girl man woman old_man old_woman person prince princess santa_claus mermaid vampire
zombie fairy mage elf genie superhero supervillain ninja detective guard construction_worker
person_running person_walking woman_dancing man_dancing person_surfing person_swimming person_biking
thumbs_up thumbs_down waving_hand ok_hand clapping_hands folded_hands flexed_biceps raised_fist
victory_hand handshake eye eyes ear nose mouth tongue brain tooth bone footprints
""".split()


def names_of(emoji: dict, shortcodes: dict) -> list[str]:
    """The CLDR label first, then GitHub's and CLDR's short codes where they say something else."""
    found = [clean(emoji["label"])]
    codes = shortcodes.get(emoji["hexcode"], [])
    for code in [codes] if isinstance(codes, str) else codes:
        name = clean(code.replace("_", " "))
        if name not in found and re.fullmatch(r"[a-z]{3,}( [a-z]{2,}){0,3}", name):
            found.append(name)
    return found


def clean(text: str) -> str:
    text = text.lower().replace("\u2019", "'").replace("\u201c", "").replace("\u201d", "")
    return re.sub(r"[^a-z0-9' -]", " ", text).strip()


def wanted(emoji: dict, subgroup: str | None) -> bool:
    single = len([c for c in emoji["emoji"] if c != "\ufe0f"]) == 1
    # The font of Debian 12 carries Unicode 15.0; later ones have no picture in it.
    if not single or emoji["version"] > 15:
        return False
    if subgroup in SUBGROUPS:
        return True
    return emoji.get("group") == 1 and emoji["label"].replace(" ", "_").lower() in PEOPLE


def main(source: Path) -> None:
    emojis = json.loads((source / "data.json").read_text())
    messages = json.loads((source / "messages.json").read_text())
    subgroup_of = {s["order"]: s["key"] for s in messages["subgroups"]}
    shortcodes = json.loads((source / "shortcodes" / "github.json").read_text())
    kept = [e for e in emojis if wanted(e, subgroup_of.get(e.get("subgroup")))]
    entries = []
    for emoji in sorted(kept, key=lambda e: e["order"]):
        names = names_of(emoji, shortcodes)
        keywords = [k for k in map(clean, emoji.get("tags", [])) if len(k) > 2]
        entries.append(
            {
                "emoji": emoji["emoji"],
                "names": names,
                "keywords": [k for k in dict.fromkeys(keywords) if k not in names],
                "group": subgroup_of[emoji["subgroup"]],
            }
        )
    # A second name that another emoji has as its first would teach the model to mix the two.
    first = {e["names"][0] for e in entries}
    used = Counter(n for e in entries for n in e["names"][1:])
    for entry in entries:
        entry["names"][1:] = [n for n in entry["names"][1:] if n not in first and used[n] == 1]
    lines = ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries)
    (Path(__file__).parent / "captions.json").write_text(f"[\n{lines}\n]\n")
    print(len(entries), "emoji;", Counter(e["group"] for e in entries).most_common(100))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
