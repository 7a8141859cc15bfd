"""The words of the emoji world: classes, their names, colours and categories. Plain data and look-ups, no images."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CODEPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "cat": "1f431",
        "dog": "1f436",
        "mouse": "1f42d",
        "rabbit": "1f430",
        "fox": "1f98a",
        "bear": "1f43b",
        "panda": "1f43c",
        "koala": "1f428",
        "tiger": "1f42f",
        "lion": "1f981",
        "cow": "1f42e",
        "pig": "1f437",
        "frog": "1f438",
        "monkey": "1f435",
        "chicken": "1f414",
        "penguin": "1f427",
        "bird": "1f426",
        "duck": "1f986",
        "owl": "1f989",
        "horse": "1f434",
        "bee": "1f41d",
        "butterfly": "1f98b",
        "snail": "1f40c",
        "ladybug": "1f41e",
        "spider": "1f577-fe0f",
        "turtle": "1f422",
        "snake": "1f40d",
        "octopus": "1f419",
        "crab": "1f980",
        "fish": "1f41f",
        "dolphin": "1f42c",
        "whale": "1f433",
        "elephant": "1f418",
        "camel": "1f42b",
        "giraffe": "1f992",
        "sheep": "1f411",
        "zebra": "1f993",
        "cactus": "1f335",
        "tree": "1f333",
        "mushroom": "1f344",
        "rose": "1f339",
        "sunflower": "1f33b",
        "tulip": "1f337",
        "apple": "1f34e",
        "pear": "1f350",
        "orange": "1f34a",
        "lemon": "1f34b",
        "banana": "1f34c",
        "watermelon": "1f349",
        "grapes": "1f347",
        "strawberry": "1f353",
        "cherries": "1f352",
        "pineapple": "1f34d",
        "avocado": "1f951",
        "carrot": "1f955",
        "corn": "1f33d",
        "broccoli": "1f966",
        "bread": "1f35e",
        "cheese": "1f9c0",
        "hamburger": "1f354",
        "fries": "1f35f",
        "pizza": "1f355",
        "taco": "1f32e",
        "ice cream": "1f366",
        "donut": "1f369",
        "cookie": "1f36a",
        "cake": "1f370",
        "candy": "1f36c",
        "lollipop": "1f36d",
        "beer": "1f37a",
        "wine": "1f377",
        "car": "1f697",
        "taxi": "1f695",
        "bus": "1f68c",
        "ambulance": "1f691",
        "truck": "1f69a",
        "tractor": "1f69c",
        "bicycle": "1f6b2",
        "motorcycle": "1f3cd-fe0f",
        "train": "1f682",
        "airplane": "2708-fe0f",
        "helicopter": "1f681",
        "rocket": "1f680",
        "boat": "26f5",
        "ship": "1f6a2",
        "house": "1f3e0",
        "clock": "23f0",
        "phone": "1f4f1",
        "laptop": "1f4bb",
        "camera": "1f4f7",
        "book": "1f4d5",
        "key": "1f511",
        "lock": "1f512",
        "bell": "1f514",
        "gift": "1f381",
        "balloon": "1f388",
        "umbrella": "2602-fe0f",
        "crown": "1f451",
        "shoe": "1f45f",
        "hat": "1f3a9",
        "shirt": "1f455",
        "guitar": "1f3b8",
        "drum": "1f941",
        "trumpet": "1f3ba",
        "soccer ball": "26bd",
        "basketball": "1f3c0",
        "heart": "2764-fe0f",
        "star": "2b50",
        "moon": "1f319",
        "snowman": "26c4",
        "ghost": "1f47b",
        "robot": "1f916",
        "pumpkin": "1f383",
        "teddy bear": "1f9f8",
        "scissors": "2702-fe0f",
        "trophy": "1f3c6",
        "backpack": "1f392",
        "mug": "2615",
    }
)
"""Class -> Unicode sequence of its glyph, lower-case hexadecimal joined by dashes."""

CLASSES: tuple[str, ...] = tuple(CODEPOINTS)
"""Every class, in the order of their numbers."""

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bicycle": ("bike",),
        "airplane": ("plane", "aeroplane"),
        "hamburger": ("burger",),
        "motorcycle": ("motorbike",),
        "donut": ("doughnut",),
        "fries": ("french fries",),
        "phone": ("smartphone", "cell phone"),
        "gift": ("present",),
        "boat": ("sailboat",),
        "truck": ("lorry",),
        "taxi": ("cab",),
        "ladybug": ("ladybird",),
        "rabbit": ("bunny",),
        "mug": ("cup", "coffee"),
        "lock": ("padlock",),
        "wine": ("wine glass",),
        "clock": ("alarm clock",),
        "hat": ("top hat",),
        "teddy bear": ("teddy",),
        "shirt": ("t-shirt",),
        "shoe": ("sneaker",),
        "soccer ball": ("football",),
        "laptop": ("computer",),
        "pizza": ("pizza slice",),
        "bread": ("loaf of bread",),
        "backpack": ("rucksack",),
        "pumpkin": ("jack-o-lantern",),
        "candy": ("sweet",),
        "train": ("locomotive",),
    }
)
"""Class -> other names that mean the same thing here."""

_PLURALS: Mapping[str, str] = MappingProxyType(
    {
        "mouse": "mice",
        "sheep": "sheep",
        "fish": "fish",
        "cactus": "cacti",
        "snowman": "snowmen",
        "grapes": "grapes",
        "cherries": "cherries",
        "fries": "fries",
        "french fries": "french fries",
        "scissors": "scissors",
        "corn": "corn",
        "broccoli": "broccoli",
        "bread": "bread",
        "loaf of bread": "loaves of bread",
        "candy": "candies",
        "coffee": "coffees",
    }
)

NO_COUNT: frozenset[str] = frozenset({"grapes", "cherries", "fries", "scissors", "corn", "broccoli", "bread"})
"""Classes that are plural by form or not counted in English: no "a", "every" or "two" with them."""

ALSO_CALLED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "bird": frozenset({"chicken", "penguin", "duck", "owl"}),
        "bear": frozenset({"panda", "koala", "teddy bear"}),
        "car": frozenset({"taxi", "ambulance"}),
        "truck": frozenset({"ambulance", "tractor"}),
        "boat": frozenset({"ship"}),
        "ship": frozenset({"boat"}),
        "fish": frozenset({"dolphin", "whale"}),
        "whale": frozenset({"dolphin"}),
        "dolphin": frozenset({"whale"}),
        "mug": frozenset({"beer"}),
        "beer": frozenset({"mug"}),
        "bicycle": frozenset({"motorcycle"}),
        "orange": frozenset({"lemon"}),
        "cat": frozenset({"tiger", "lion"}),
        "hat": frozenset({"crown"}),
        "candy": frozenset({"lollipop"}),
        "soccer ball": frozenset({"basketball"}),
    }
)
"""Class -> classes that a person might call by its name: with one of them in view the name says too little."""

COLORS: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")
"""Every colour word."""

HUES: tuple[str, ...] = COLORS[:7]
"""Those that glyphs are recoloured to."""

COLOR_SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType({"gray": ("grey",), "purple": ("violet",)})

_CLOSE = (
    ("red", "orange"),
    ("red", "pink"),
    ("red", "brown"),
    ("orange", "yellow"),
    ("orange", "brown"),
    ("yellow", "brown"),
    ("purple", "pink"),
    ("purple", "blue"),
    ("blue", "green"),
    ("yellow", "green"),
    ("white", "gray"),
    ("gray", "black"),
    ("brown", "black"),
    ("blue", "gray"),
    ("yellow", "white"),
    ("pink", "white"),
)
CLOSE_COLORS: Mapping[str, frozenset[str]] = MappingProxyType(
    {c: frozenset({c} | {b if a == c else a for a, b in _CLOSE if c in (a, b)}) for c in COLORS}
)
"""Colour -> itself and the colours that people may confuse with it."""

RECOLORABLE: tuple[str, ...] = (
    "car",
    "bus",
    "truck",
    "tractor",
    "bicycle",
    "motorcycle",
    "train",
    "helicopter",
    "rocket",
    "boat",
    "house",
    "clock",
    "book",
    "key",
    "lock",
    "bell",
    "gift",
    "balloon",
    "umbrella",
    "crown",
    "shoe",
    "shirt",
    "guitar",
    "drum",
    "trumpet",
    "heart",
    "star",
    "moon",
    "backpack",
    "candy",
    "lollipop",
    "apple",
    "pear",
    "rose",
    "tulip",
    "mushroom",
    "butterfly",
    "bird",
    "fish",
    "turtle",
    "octopus",
    "crab",
    "snail",
    "frog",
    "whale",
    "dolphin",
    "snake",
    "ladybug",
    "teddy bear",
    "cat",
    "dog",
    "trophy",
    "robot",
)
"""Classes that may come in other colours than their own."""

_FRUIT = frozenset(
    {
        "apple",
        "pear",
        "orange",
        "lemon",
        "banana",
        "watermelon",
        "grapes",
        "strawberry",
        "cherries",
        "pineapple",
    }
)
_VEGETABLES = frozenset({"carrot", "broccoli"})
_MEALS = frozenset(
    {
        "avocado",
        "corn",
        "bread",
        "cheese",
        "hamburger",
        "fries",
        "pizza",
        "taco",
        "ice cream",
        "donut",
        "cookie",
        "cake",
    }
)
_FLOWERS = frozenset({"rose", "sunflower", "tulip"})

CATEGORIES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "animal": frozenset(CLASSES[: CLASSES.index("cactus")]),
        "food": _FRUIT | _VEGETABLES | _MEALS,
        "fruit": _FRUIT,
        "vegetable": _VEGETABLES,
        "vehicle": frozenset(
            {
                "car",
                "taxi",
                "bus",
                "ambulance",
                "truck",
                "tractor",
                "bicycle",
                "motorcycle",
                "train",
                "airplane",
                "helicopter",
                "boat",
                "ship",
            }
        ),
        "plant": _FLOWERS | {"cactus", "tree"},
        "flower": _FLOWERS,
        "drink": frozenset({"beer", "wine", "mug"}),
        "instrument": frozenset({"guitar", "drum", "trumpet"}),
    }
)
"""Category -> its classes."""

MAYBE_IN_CATEGORY: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "animal": frozenset({"teddy bear", "snowman", "ghost", "robot"}),
        "food": frozenset({"mushroom", "candy", "lollipop", "pumpkin", "beer", "wine", "mug", "chicken", "fish", "crab", "octopus"}),
        "fruit": frozenset({"avocado", "pumpkin", "corn"}),
        "vegetable": frozenset({"avocado", "corn", "mushroom", "pumpkin"}),
        "vehicle": frozenset({"rocket"}),
        "plant": _FRUIT | _VEGETABLES | {"mushroom", "corn", "avocado", "pumpkin"},
        "flower": frozenset(),
        "drink": frozenset(),
        "instrument": frozenset({"bell"}),
    }
)
"""Category -> classes that some people would count and some would not: with one in view the category is not asked for."""

_CATEGORY_PLURALS: Mapping[str, str] = MappingProxyType({"food": "food", "fruit": "fruits"})


def plural(noun: str) -> str:
    """The plural of a class name or synonym, e.g. ``ladybugs``, ``foxes``, ``cacti``."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def category_plural(category: str) -> str:
    """The plural of a category's name, e.g. ``animals``."""
    return _CATEGORY_PLURALS.get(category) or plural(category)


def ways_to_say(name: str) -> tuple[str, ...]:
    """Every noun for a class, its own name first."""
    return (name, *SYNONYMS.get(name, ()))


def words_for_color(color: str) -> tuple[str, ...]:
    """Every word for a colour, the usual one first."""
    return (color, *COLOR_SYNONYMS.get(color, ()))


def may_be_called(name: str, other: str) -> bool:
    """Whether a person might use the class name ``name`` for an object of the class ``other``."""
    return other == name or other in ALSO_CALLED.get(name, frozenset())
