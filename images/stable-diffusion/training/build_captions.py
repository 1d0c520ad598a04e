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
import unicodedata
from collections import Counter
from pathlib import Path

# Subgroups whose pictures are things somebody would ask for. Left out are flags, keycaps, arrows,
# clock faces and other signs, and people with skin tones and genders (many near-equal pictures).
SUBGROUPS = [
    "cat-face",
    "emotion",
    "face-affection",
    "face-costume",
    "face-glasses",
    "face-hat",
    "face-smiling",
    "face-tongue",
    "heart",
    "monkey-face",
    "animal-amphibian",
    "animal-bird",
    "animal-bug",
    "animal-mammal",
    "animal-marine",
    "animal-reptile",
    "plant-flower",
    "plant-other",
    "drink",
    "food-asian",
    "food-fruit",
    "food-prepared",
    "food-sweet",
    "food-vegetable",
    "place-building",
    "place-geographic",
    "place-other",
    "place-religious",
    "sky-weather",
    "transport-air",
    "transport-ground",
    "transport-water",
    "arts-crafts",
    "event",
    "game",
    "sport",
    "clothing",
    "computer",
    "household",
    "lock",
    "music",
    "musical-instrument",
    "medical",
    "phone",
    "science",
    "tool",
]
# Of other subgroups, these alone.
SINGLY = [
    "baby",
    "boy",
    "girl",
    "man",
    "woman",
    "old_man",
    "old_woman",
    "prince",
    "princess",
    "santa_claus",
    "mermaid",
    "vampire",
    "zombie",
    "fairy",
    "mage",
    "elf",
    "genie",
    "superhero",
    "ninja",
    "detective",
    "guard",
    "construction_worker",
    "woman_dancing",
    "thumbs_up",
    "thumbs_down",
    "waving_hand",
    "ok_hand",
    "clapping_hands",
    "folded_hands",
    "flexed_biceps",
    "raised_fist",
    "victory_hand",
    "handshake",
    "eyes",
    "ear",
    "nose",
    "mouth",
    "tongue",
    "brain",
    "tooth",
    "bone",
    "footprints",
    "thinking_face",
    "neutral_face",
    "sleeping_face",
    "crying_face",
    "loudly_crying_face",
    "angry_face",
    "enraged_face",
    "face_screaming_in_fear",
    "nauseated_face",
    "face_with_thermometer",
    "exploding_head",
    "hot_face",
    "cold_face",
    "worried_face",
    "skull",
    "pile_of_poo",
    "money_bag",
    "dollar_banknote",
    "books",
    "open_book",
    "newspaper",
    "envelope",
    "pencil",
    "scissors",
    "paperclip",
    "pushpin",
    "television",
    "camera",
    "light_bulb",
    "flashlight",
    "candle",
    "fork_and_knife",
    "shopping_cart",
    "moai",
    "bed",
    "toilet",
    "shower",
    "trophy",
    "sports_medal",
    "glowing_star",
]
# Signs, phases, scripts and variants that differ from another picture in a detail.
LIKE_ANOTHER = (
    r"quarter moon|gibbous|new moon|moon face|Japanese|Japan|sign$|suit$|card|mahjong|symbol|"
    r"button|delivery|oncoming|carousel slide|thermometer|umbrella with|clock|cloud with|"
    r"sun behind|love letter|heart exclamation|with ribbon|with arrow|eye in|comment|balloon$|"
    r"bubble|see-no|hear-no|speak-no|-thirty|building construction|derelict|rail|track|station|"
    r"fuel|horizontal|vertical|light$|stop|motorway|office building|department|post office|"
    r"convenience|love hotel|medical|fishing pole|running shirt|shorts|sock|briefs|"
    r"shoe|sandal|purse|clutch|trackball|computer disk|floppy|optical|DVD|abacus|"
    r"bucket|lotion|sponge|roll of|safety pin|broom|headstone|placard|nut and bolt|clamp|"
    r"balance scale|chains|hook|ladder|sunrise|cityscape|sunset|foggy|night with|milky"
)


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
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9' -]", " ", plain).strip()


def wanted(emoji: dict, subgroup: str | None) -> bool:
    single = len([c for c in emoji["emoji"] if c != "\ufe0f"]) == 1
    # The font of Debian 12 carries Unicode 15.0; later ones have no picture in it.
    if not single or emoji["version"] > 15:
        return False
    if emoji["label"].replace(" ", "_").lower() in SINGLY:
        return True
    return subgroup in SUBGROUPS and not re.search(LIKE_ANOTHER, emoji["label"])


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
    # "cat" as a keyword of each cat's face would blur the picture of a cat.
    named = {n for e in entries for n in e["names"]}
    for entry in entries:
        entry["keywords"] = [k for k in entry["keywords"] if k not in named]
    lines = ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries)
    (Path(__file__).parent / "captions.json").write_text(f"[\n{lines}\n]\n")
    print(len(entries), "emoji;", Counter(e["group"] for e in entries).most_common(100))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
