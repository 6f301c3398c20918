"""The payload words: what the tasks spell, reverse, sort and stories about.

They are kept out of the vocabulary's whole-word tokens, so the model meets them by letter.
"""

from __future__ import annotations

from random import Random


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WORDS: tuple[str, ...] = _listed("""
    strawberry apple banana cherry lemon mango orange peach grape melon plum pear kiwi fig olive tomato potato carrot
    onion garlic pepper bean rice bread butter cheese milk honey sugar salt soup cake cookie pasta pizza coffee
    water juice dog cat horse sheep goat rabbit tiger lion zebra giraffe elephant monkey mouse wolf fox bear deer
    camel whale dolphin shark salmon turtle lizard snake frog spider insect butterfly beetle ant bee eagle falcon
    sparrow parrot penguin duck goose chicken turkey table chair window door floor wall roof kitchen garden bridge
    street village river mountain valley forest island desert ocean beach cloud storm thunder rain snow wind
    summer winter spring autumn morning evening night day hour minute second week month year monday friday sunday
    january march april june july august october december red blue green yellow purple pink brown black white grey
    silver gold bronze copper iron steel wood stone glass paper cotton leather plastic rubber circle square triangle
    music guitar piano violin trumpet drum dance novel page pencil brush paint canvas
    camera movie theatre museum library school college teacher student doctor nurse lawyer farmer baker driver pilot
    sailor soldier captain king queen prince princess knight castle palace tower church temple market shop store bank
    hotel hospital station airport train plane boat ship truck bicycle wheel engine motor rocket planet moon star
    galaxy comet sun earth mars jupiter saturn venus mercury science physics chemistry biology history geometry algebra
    computer keyboard screen printer software hardware network internet program window mississippi banana tennessee
    committee address success balloon bottle puzzle rabbit kitten puppy giggle bubble pebble coffee toffee giraffe
    parallel excellent umbrella vanilla gorilla armadillo occurrence bookkeeper accommodation necessary millennium
    happy sad angry brave calm eager gentle honest jolly kind lively nice polite quiet rapid silly tidy urgent witty
    zealous bright dark heavy light sharp smooth rough sweet bitter sour fresh dry wet cold warm hot cool soft hard
    strong weak young new early late fast slow high low deep wide narrow long short round flat empty full
    run walk jump swim climb speak listen build break carry catch choose draw drive drink eat fall fly
    forget give grow hide hold keep know laugh learn leave lend lose meet pay play pull push reach ride ring
    rise send shake shine shout shut sing sit sleep smell smile stand steal stick sweep swing take teach
    throw touch travel try wait wake wash watch wear win wish work world friend family mother father sister
    brother uncle cousin neighbour basket blanket bucket candle carpet curtain cushion drawer hammer ladder lamp mirror
    needle pillow pocket ribbon rope scissors shelf shoe shovel spoon sweater thread ticket towel trousers wallet watch
    banana anchor arrow badge barrel bell bench blade blossom bone branch button cabin cactus canyon cave chain
    chalk chest clock coin coral crown crystal daisy diamond dragon dream ember feather fence flame flower flute fossil
    fountain ghost giant glacier glove grass hazel hedge helmet hero horizon ivory jacket jewel jungle kettle lantern
    lavender legend lily magnet maple marble meadow mint mystery nectar nest oak oasis opal orchid oyster pearl petal
    phoenix pine pirate pond pumpkin quartz quill rainbow raven reef riddle robin rose ruby saddle sapphire shadow shell
    silk spark spiral spruce sunset swan thorn tide treasure tulip tunnel velvet violet volcano willow wizard yacht
    """)

NAMES: tuple[str, ...] = _listed("""
    Ada Alan Alice Amir Anna Aria Ben Bella Boris Carla Carl Chen Clara Dana David Diego Dora Edith Elena Eli Emma Eric
    Eva Felix Fiona Frank Gina Grace Hana Hugo Ida Igor Ines Iris Ivan Jack Jane Jonas Julia Karim Kate Kira Lara Leo
    Liam Lily Lin Lisa Luca Lucy Maria Mark Maya Mei Mia Mila Nadia Nina Noah Nora Olga Oscar Otto Paul Peter Petra
    Priya Quinn Ravi Rita Rosa Ruth Sam Sara Simon Sofia Tara Theo Tim Tom Uma Vera Victor Wanda Will Xenia Yara Yuki
    Zara Zoe Max Nova Orion Atlas Luna Echo Pixel Robby Daisy Jarvis Sage Ruby Basil Hazel Kimi Bob Eve Mallory Trent
    """)

CITIES: tuple[str, ...] = _listed("""
    Paris London Rome Berlin Madrid Vienna Prague Oslo Athens Dublin Lisbon Warsaw Tokyo Kyoto Osaka Seoul Beijing
    Shanghai Hanoi Delhi Mumbai Cairo Nairobi Lagos Accra Lima Quito Bogota Boston Chicago Denver Dallas Miami Seattle
    Toronto Montreal Sydney Perth Auckland Geneva Zurich Milan Naples Porto Bergen Krakow Riga Tallinn Sofia Havana
    """)

COLOURS: tuple[str, ...] = (
    "red",
    "blue",
    "green",
    "yellow",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
    "orange",
)

OBJECTS: tuple[str, ...] = _listed("""
    apple ball bag bike boat book bottle box brush cake camera candle car chair clock coat coin cup desk doll drum
    fan flag flute fork guitar hammer hat jacket kettle key kite knife lamp map mirror pen pencil phone piano plate
    ring rope rug scarf shirt shoe sofa spoon table tent ticket towel toy umbrella vase violin wallet watch wheel
    """)

ANIMALS: tuple[str, ...] = _listed(
    "cat dog horse rabbit parrot hamster turtle goat snake duck pony lizard mouse sheep frog goose fox pig"
)

JOBS: tuple[str, ...] = _listed(
    "baker doctor teacher pilot nurse farmer singer writer lawyer driver painter sailor cook judge dancer actor"
)

FOODS: tuple[str, ...] = _listed(
    "pizza soup rice pasta cheese bread salad apples grapes cake noodles curry honey fish mango plums olives"
)

# Words that are one token in the vocabulary: the model has to know their letters too.
COMMON: tuple[str, ...] = _listed("""
    which bigger larger number letter word order reverse please what where count smaller greater spell think tell write
    about after answer assistant system user capital calculate question model language name sort repeat compare text
    function string search image result people person weather project yourself careful equal first small colour right
    """)

_ONSETS = _listed(
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sh sk sl sm sn sp st t th tr v w y z"
)
_VOWELS = _listed("a a e e i i o o u ai ea ee oo ou y")
_CODAS = (
    "",
    "",
    "",
    "b",
    "ck",
    "d",
    "f",
    "g",
    "l",
    "ll",
    "m",
    "n",
    "n",
    "nt",
    "p",
    "r",
    "r",
    "rt",
    "s",
    "ss",
    "st",
    "t",
    "x",
)


# What the letters of a made-up name may spell by chance, and a sentence about it would then mean something else.
_NEVER_NAMES = frozenset(_listed("she you they them her him his the who what this that these not and are was has"))


def random_word(rng: Random, low: int, high: int) -> str:
    """A made-up lower-case word of `low` to `high` letters, pronounceable or (one in five) not."""
    length = rng.randint(low, high)
    if rng.random() < 0.2:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(length))
    text = ""
    while len(text) < length:
        text += rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
    return text[:length]


def payload_word(rng: Random, low: int, high: int) -> str:
    """A word to work on: half real English, half made up, of `low` to `high` letters."""
    if rng.random() < 0.04:
        word = rng.choice(COMMON)
        if low <= len(word) <= high:
            return word
    if rng.random() < 0.5:
        for _ in range(20):
            word = rng.choice(WORDS)
            if low <= len(word) <= high:
                return word
    return random_word(rng, low, high)


def payload_name(rng: Random) -> str:
    """A capitalised name: two thirds from the list, one third made up."""
    if rng.random() < 0.67:
        return rng.choice(NAMES)
    while (word := random_word(rng, 3, 7)) in _NEVER_NAMES:
        pass
    return word.capitalize()


def payload_pieces() -> frozenset[str]:
    """Every listed payload word, lower case: these must not become whole-word tokens."""
    groups = (WORDS, NAMES, CITIES, COLOURS, OBJECTS, ANIMALS, JOBS, FOODS)
    return frozenset(word.lower() for group in groups for word in group)
