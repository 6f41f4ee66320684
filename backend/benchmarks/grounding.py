"""Does `ground` catch what a passage does not say, and leave alone what it says?

    python -m benchmarks.grounding DOCS=QUESTIONS.jsonl [DOCS=QUESTIONS.jsonl ...]

Statements are made from the pages by rule, true and false, each pointing at one of twelve passages; the `facts` of the
questions are true statements in somebody's own words. Pages are halved by a hash of their path: thresholds are chosen
on one half and judged on the other. What came of it is in GROUNDING.md.
"""

from __future__ import annotations

import gc
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import process_time

from chatbot_api.answering.grounding import ground, judge, polarity, values
from chatbot_api.answering.text import inert, units_of
from chatbot_api.models.domain import Passage
from qdrant_indexer.chunking import passages_of
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.layout import find_layout
from qdrant_indexer.sources.markdown import read_markdown

GIVEN = 12
NEIGHBOURS = 4
FREQUENT = 100
"""A word that stands in more passages tells nothing about which are near."""
PER_PASSAGE = 2
HALVES = ("tuning", "held-out")
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Case:
    kind: str
    true: bool
    text: str
    cited: Passage
    given: tuple[Passage, ...]
    question: str

    @property
    def half(self) -> str:
        return HALVES[sha256(self.cited.source.encode()).digest()[0] % 2]


# Measuring --------------------------------------------------------------------------------------------


def flagged(case: Case) -> bool:
    return bool(ground(case.text, {1: case.cited}, case.given, case.question).unsupported)


def report(cases: Sequence[Case]) -> None:
    verdicts = [(case, flagged(case)) for case in cases]
    print("| statements | of | tuning half | held-out half |\n|---|---:|---:|---:|")
    kinds = dict.fromkeys((case.true, case.kind) for case in cases)
    for true in (False, True):
        named = [kind for is_true, kind in kinds if is_true is true]
        for kind in named:
            _row(kind, [(case, bad) for case, bad in verdicts if case.kind == kind])
        rows = [(case, bad) for case, bad in verdicts if case.true is true]
        _row("**all true: false alarms**" if true else "**all false: caught**", rows)
    _row("all true but verbatim", [(case, bad) for case, bad in verdicts if case.true and case.kind != "verbatim"])


def _row(name: str, verdicts: Sequence[tuple[Case, bool]]) -> None:
    shares = []
    for half in HALVES:
        bad = [each for case, each in verdicts if case.half == half]
        shares.append(f"{100 * sum(bad) / len(bad):.1f} %" if bad else "")
    print(f"| {name} | {len(verdicts):,} | {' | '.join(shares)} |")


def speed(cases: Sequence[Case], words: int = 300) -> None:
    """Answers of so many words over twelve passages, some of which are cited for what they say, in other words."""
    letters = median(sum(len(passage.text) for passage in case.given) for case in cases)
    print(f"\nAnswers of {words} words over {GIVEN} passages of {letters:,.0f} characters in all:")
    print("\n| passages cited | ms where none was read before | ms where all were |\n|---:|---:|---:|")
    gc.disable()  # as `timeit` does: there are a hundred thousand things here that an answer does not have
    for citing in (4, GIVEN):
        times: list[tuple[float, float]] = []
        for case in random.Random(1).sample(cases, 400):
            cited = dict(enumerate(case.given[:citing], 1))
            text = _answer(cited, words)
            for cache in (judge._read, values.letters_of, polarity.sentences_of):
                cache.cache_clear()
            times.append((_time(text, cited, case.given), _time(text, cited, case.given)))
        print(f"| {citing} | {' | '.join(f'{1e3 * median(column):.1f}' for column in zip(*times, strict=True))} |")


def _answer(cited: Mapping[int, Passage], words: int) -> str:
    said = [f"{inert(_with_synonyms(text))} [{n}]." for n, passage in cited.items() for text in _sentences(passage)]
    spoken = " ".join(said).split()
    return " ".join(islice(cycle(spoken), words)) if spoken else ""


def _time(text: str, cited: Mapping[int, Passage], given: Sequence[Passage]) -> float:
    began = process_time()
    ground(text, cited, given)
    return process_time() - began


def main(sets: Sequence[str]) -> None:
    cases: list[Case] = []
    for each in sets:
        docs, _, questions = each.partition("=")
        cases += cases_of(Site(Path(docs), Path(questions)))
    report(cases)
    speed(cases)


# Cases ------------------------------------------------------------------------------------------------


class Site:
    def __init__(self, docs: Path, questions: Path) -> None:
        pages = [page for page in read_markdown(find_layout(docs)) if not isinstance(page, Skipped)]
        self.questions = questions
        self.passages = [passage for page in pages for passage in passages_of(page)]
        self.by_source: defaultdict[str, list[Passage]] = defaultdict(list)
        self._holders: defaultdict[str, set[int]] = defaultdict(set)
        self._lengths = [len(_words(passage)) ** 0.5 for passage in self.passages]
        for number, passage in enumerate(self.passages):
            self.by_source[passage.source].append(passage)
            for word in _words(passage):
                self._holders[word].add(number)

    def given_with(self, passage: Passage, rng: random.Random) -> tuple[Passage, ...]:
        """The passage among those a search would bring: its neighbours and those that share its rarer words."""
        page = self.by_source[passage.source]
        near = sorted(page, key=lambda other: abs(other.ordinal - passage.ordinal))[1 : NEIGHBOURS + 1]
        shared = Counter(
            number for word in _words(passage) if len(self._holders[word]) <= FREQUENT for number in self._holders[word]
        )
        given = {other.id: other for other in [passage, *near]}
        for number in sorted(shared, key=lambda number: (-shared[number] / self._lengths[number], number)):
            given.setdefault(self.passages[number].id, self.passages[number])
            if len(given) == GIVEN:
                break
        order = list(given.values())
        rng.shuffle(order)
        return tuple(order)


def cases_of(site: Site) -> Iterator[Case]:

    for passage in site.passages:
        rng = random.Random(passage.id)
        said = list(_sentences(passage))
        if not said:
            continue
        given = site.given_with(passage, rng)
        question = passage.label if rng.random() < 0.5 else ""
        for kind, true, text in _statements(site, passage, said, given, rng):
            yield Case(kind, true, f"{inert(text)} [1].", passage, given, question)
        yield from _misplaced(said, passage, given, question, rng)
    yield from _facts(site)


def _statements(
    site: Site, passage: Passage, said: Sequence[str], given: Sequence[Passage], rng: random.Random
) -> Iterator[tuple[str, bool, str]]:
    chosen = rng.sample(said, min(PER_PASSAGE, len(said)))
    for sentence in chosen:
        yield "verbatim", True, sentence
        yield from (("paraphrase", True, text) for text in _paraphrases(sentence))
        yield from (("value changed", False, text) for text in _values_changed(sentence, given, rng))
        yield from (("polarity flipped", False, text) for text in _flipped(sentence))
    if len(said) > 1:
        first, second = rng.sample(said, 2)
        yield "two merged", True, f"{first}, and {second[0].lower()}{second[1:]}"
    elsewhere = rng.choice(site.passages)
    if elsewhere.source != passage.source and (foreign := list(_sentences(elsewhere))):
        yield "another page's", False, rng.choice(foreign)
    yield from (("invented", False, text) for text in _invented(site, passage, rng))


def _misplaced(
    said: Sequence[str], passage: Passage, given: Sequence[Passage], question: str, rng: random.Random
) -> Iterator[Case]:
    """A sentence of one passage attributed to another of the twelve."""
    wrong = rng.choice([other for other in given if other.id != passage.id])
    sentence = rng.choice(said)
    if _flat(sentence) not in _flat(wrong.text):
        yield Case("wrong passage", False, f"{inert(sentence)} [1].", wrong, tuple(given), question)


def _facts(site: Site) -> Iterator[Case]:
    for line in site.questions.read_text().splitlines():
        question = json.loads(line)
        for fact in question["facts"]:
            page = site.by_source.get(fact["path"], [])
            snippet = set(WORD.findall(_unlinked(fact["snippet"]).lower()))
            if not page or not snippet:
                continue
            passage = max(page, key=lambda p: len(snippet & set(WORD.findall(p.text.lower()))))
            given = site.given_with(passage, random.Random(fact["fact"]))
            yield Case(
                "fact, reworded by hand", True, f"{fact['fact'].rstrip('.')} [1].", passage, given, question["query"]
            )


def _sentences(passage: Passage) -> Iterator[str]:
    """Whole sentences in prose, without their full stop."""
    for unit in units_of(passage.text):
        text = re.sub(r"^\s*(?:- |\d+[.)] )", "", unit.text).strip()
        whole = unit.kind == "sentence" and text.endswith(".")
        if whole and "\n" not in text and 40 <= len(text) <= 300 and len(text.split()) >= 6:
            yield text.rstrip(".")


# True in other words -------------------------------------------------------------------------------------

ADVERBS = re.compile(
    r" (?:also|usually|often|currently|generally|typically|simply|just|already|still|really|very|easily|automatically"
    r"|immediately|normally|completely|directly|fully|quickly)\b",
    re.IGNORECASE,
)
SYNONYMS = (
    ("allows", "lets"), ("allow", "permit"), ("ensure", "make sure"), ("display", "show"), ("displays", "shows"),
    ("displayed", "shown"), ("create", "make"), ("creates", "makes"), ("created", "made"), ("large", "big"),
    ("choose", "pick"), ("select", "choose"), ("provide", "give"), ("provides", "offers"), ("however", "but"),
    ("therefore", "so"), ("require", "need"), ("requires", "needs"), ("required", "needed"), ("begin", "start"),
    ("multiple", "several"), ("modify", "change"), ("run", "execute"), ("error", "failure"), ("option", "setting"),
    ("options", "settings"), ("configure", "set up"), ("configured", "set up"), ("contains", "holds"),
    ("using", "with"), ("method", "function"), ("recommended", "advised"), ("determine", "decide"),
    ("example", "sample"), ("ability", "possibility"), ("additional", "further"), ("appear", "show up"),
    ("default", "standard"), ("detect", "find"), ("improve", "better"), ("help", "aid"), ("specify", "state"),
    ("specified", "given"), ("test", "check"), ("user", "person"), ("users", "people"), ("within", "inside"),
    ("entire", "whole"), ("similar", "like"), ("supports", "works with"), ("attempt", "try"), ("obtain", "get"),
    ("remove", "delete"), ("may", "might"), ("common", "frequent"), ("needed", "necessary"), ("works", "functions"),
)  # fmt: skip
TEMPLATES = (
    (r"^You can use ([^,]+?) to (.+)$", r"\1 can be used to \2"),
    (r"^(.+?) allows you to (.+)$", r"With \1 you can \2"),
    (r"^(.+?) is used to (.+)$", r"One uses \1 to \2"),
    (r"^We recommend (.+)$", r"\1 is recommended"),
    (r"^It is recommended to (.+)$", r"You should \1"),
    (r"^You should (.+)$", r"It is best to \1"),
    (r"^You can (.+)$", r"It is possible to \1"),
    (r"^You (?:must|need to) (.+)$", r"It is necessary to \1"),
    (r"^There (?:is|are) (.+)$", r"The book knows of \1"),
    (r"^(If|When|Once|After|Before|While|Because) ([^,]+), (.+)$", r"\3 \1 \2"),
    (r"^(In|For|On|With|By|To) ([^,]+), (.+)$", r"\3 \1 \2"),
    (r"^(.+?), (?:which|so|but|and|because) .+$", r"\1"),
    (r"^(.{40,}?) (?:because|since|so that|such as|when|if) .+$", r"\1"),
)


def _paraphrases(sentence: str) -> Iterator[str]:
    templated = next((_reordered(old, new, sentence) for old, new in TEMPLATES if re.match(old, sentence)), sentence)
    for text in (templated, _with_synonyms(ADVERBS.sub("", templated))):
        if text != sentence:
            yield text[0].upper() + text[1:]


def _reordered(old: str, new: str, sentence: str) -> str:
    first, _, rest = sentence.partition(" ")
    return re.sub(old, new, sentence).replace(f" {first} ", f" {first.lower()} ") if rest else sentence


def _with_synonyms(sentence: str, most: int = 3) -> str:
    for old, new in SYNONYMS:
        changed = _in_prose(rf"(?<![\w/.-]){old}(?![\w/.-])", new, sentence)
        most -= changed != sentence
        sentence = changed
        if not most:
            break
    return sentence


def _in_prose(old: str, new: str, sentence: str) -> str:
    """Replaced once, and not within code."""
    parts = re.split(r"(`[^`\n]*`)", sentence)
    for at in range(0, len(parts), 2):
        changed = re.sub(old, new, parts[at], count=1)
        if changed != parts[at]:
            parts[at] = changed
            break
    return "".join(parts)


# False -------------------------------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])")
NAME = re.compile(r"`[^`\n]+`|\b[a-z]+_[a-z_]+\b|\b[a-z]+[A-Z]\w+\b|(?<!\w)--[a-z][\w-]+")
OPPOSITES = (
    ("enabled", "disabled"), ("enable", "disable"), ("enables", "disables"), ("before", "after"),
    ("increase", "decrease"), ("increases", "decreases"), ("minimum", "maximum"), ("first", "last"),
    ("true", "false"), ("above", "below"), ("more", "less"), ("higher", "lower"), ("required", "optional"),
    ("always", "never"), ("with", "without"), ("include", "exclude"), ("allow", "forbid"), ("allows", "prevents"),
    ("start", "stop"), ("newer", "older"), ("inside", "outside"), ("supported", "unsupported"),
    ("possible", "impossible"), ("add", "remove"), ("faster", "slower"), ("larger", "smaller"),
    ("automatically", "manually"),
)  # fmt: skip
NEGATIVE = re.compile(r" (?:not|never)\b|n't\b", re.IGNORECASE)
AUXILIARY = re.compile(r"(?<![\w/.-])(is|are|was|were|can|will|should|must|does|would|could)(?![\w/.-])")
INVENTIONS = (
    "{x} also supports {y}",
    "The default of {x} is {n}",
    "{x} requires {y} to be installed first",
    "{x} was deprecated in favour of {y}",
    "Setting {x} to {n} improves {y}",
    "{x} restarts whenever {y} changes",
    "Every {x} is limited to {n} per {y}",
    "{x} is only available together with {y}",
)


def _values_changed(sentence: str, given: Sequence[Passage], rng: random.Random) -> Iterator[str]:
    numbers = list(NUMBER.finditer(sentence))
    if numbers:
        yield _swapped(sentence, rng.choice(numbers), lambda old: _other_number(old, rng))
    names = [found for found in NAME.finditer(sentence) if re.search(r"\w\w", found.group())]
    if names:
        others = [name for passage in given for name in _names(passage.text) if name[0] == "`"]
        yield _swapped(sentence, rng.choice(names), lambda old: _other_name(old, others, rng))


def _swapped(sentence: str, found: re.Match[str], other: Callable[[str], str]) -> str:
    return sentence[: found.start()] + other(found.group()) + sentence[found.end() :]


def _other_number(old: str, rng: random.Random) -> str:
    if "." in old:
        return f"{float(old) * rng.choice((2, 3, 0.5)) + 0.1:.{len(old.split('.')[1])}f}"
    return str(max(1, int(old)) * rng.choice((2, 3, 10)) + rng.choice((0, 1, 5)))


def _other_name(old: str, others: Sequence[str], rng: random.Random) -> str:
    """Another name of the passages at hand, or the same with another ending."""
    different = [name for name in others if name.strip("`") not in old and old.strip("`") not in name]
    if different and rng.random() < 0.5:
        return rng.choice(different)
    body = re.findall(r"\w\w+", old)[-1]
    return old.replace(body, body + rng.choice(("_mode", "Async", "_limit", "V2", "-strict")))


def _flipped(sentence: str) -> Iterator[str]:
    """The first two ways of saying the opposite that apply."""
    ways = []
    if NEGATIVE.search(sentence):
        plain = NEGATIVE.sub("", sentence, count=1)
        ways.append(re.sub(r"\bwo(?=\s|$)", "will", re.sub(r"\bca(?=\s|$)", "can", plain)))
    elif AUXILIARY.search(sentence):
        ways.append(_in_prose(AUXILIARY.pattern, r"\1 not", sentence))
    for pair in OPPOSITES:
        for old, new in (pair, pair[::-1]):
            changed = _in_prose(rf"(?<![\w/.-]){old}(?![\w/.-])", new, sentence)
            if changed != sentence:
                ways.append(changed)
    yield from ways[:2]


def _invented(site: Site, passage: Passage, rng: random.Random) -> Iterator[str]:
    """Built from words of the passage or of its page."""
    here = _names(passage.text)
    page = [name for other in site.by_source[passage.source] for name in _names(other.text)]
    if here and page:
        x, y = rng.choice(here), rng.choice(rng.choice((here, page)))
        yield rng.choice(INVENTIONS).format(x=x, y=y, n=rng.choice((3, 5, 8, 15, 20, 64, 90, 250, 512, 4000)))


def _names(text: str) -> list[str]:
    prose = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    return [name for name in NAME.findall(prose) if re.search(r"\w\w", name) and len(name) < 60] + re.findall(
        r"(?<=[a-z] )[A-Z][A-Za-z]{3,}", prose
    )


def _words(passage: Passage) -> set[str]:
    return set(WORD.findall(f"{passage.label} {passage.text}".lower()))


def _flat(text: str) -> str:
    return " ".join(WORD.findall(text.lower()))


def _unlinked(markdown: str) -> str:
    return re.sub(r"\]\([^)]*\)|\]\[[^\]]*\]", "", markdown)


if __name__ == "__main__":
    main(sys.argv[1:])
