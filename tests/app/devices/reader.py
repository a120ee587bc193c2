"""Another program: it has read the guide of an exported folder, and knows nothing else of PersaRank."""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import skops.io
from safetensors.numpy import load_file

Pairs = Counter[tuple[int, int]]


def clean(text: str, longest: int) -> str:
    text = unicodedata.normalize("NFC", text.translate(dict.fromkeys((0x200B, 0x2060, 0xFEFF))))
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return " ".join(text.split())[:longest].rstrip()


Model = Callable[[Any, list[str], int], Any]
"""Of features (N, F), texts and the number of characters typed, scores (N,)."""


def network(file: Path) -> Model:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    inputs = {one.name: one.shape for one in session.get_inputs()}

    def scores(features: Any, texts: list[str], typed: int) -> Any:
        given: dict[str, Any] = {"features": features}
        if "codes" in inputs:
            given["codes"] = np.zeros((len(texts), inputs["codes"][1]), np.int64)
            for row, text in enumerate(texts):
                for at, c in enumerate(text.lower()[: inputs["codes"][1]]):
                    given["codes"][row, at] = ord(c) - 31 if 1 <= ord(c) - 31 <= 95 else 96
            given["typed"] = np.array([typed])
        return session.run(["scores"], given)[0]

    return scores


def boosted(file: Path) -> Model:
    booster = lightgbm.Booster(model_file=file)
    return lambda features, texts, typed: booster.predict(features, raw_score=True)


def forest(file: Path) -> Model:
    found = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    true = list(found.classes_).index(True)
    return lambda features, texts, typed: found.predict_proba(features)[:, true]


def grown_together(file: Path) -> Model:
    part = load_file(file)

    def score(row: Any) -> float:
        vote, own = 0.0, 0.0
        for tree, root in enumerate(part["root"]):
            node = root
            while part["feature"][node] >= 0:
                right = row[part["feature"][node]] >= part["threshold"][node]
                node = part["left"][node] + int(right)
            vote += part["vote"][node]
            if len(part["price"]):
                residual, curvature = part["evidence"][0, tree, part["cell"][node]]
                own += residual / (curvature + part["price"][0])
        trees = len(part["root"])
        v = min(max(vote / trees, 1e-4), 1 - 1e-4)
        return float(np.log(v / (1 - v)) + own / trees)

    return lambda features, texts, typed: np.array([score(row) for row in features])


MODELS = {".onnx": network, ".txt": boosted, ".skops": forest, ".safetensors": grown_together}


class Reader:
    """One model of a folder."""

    def __init__(self, folder: Path, user: str | None) -> None:
        def read(name: str) -> Any:
            return json.loads((folder / name).read_text("utf-8"))

        self.told, self.recipe = read("public.json"), read("recipe.json")
        (model,) = [one for one in read("manifest.json")["models"] if one["user"] == user]
        past = read(model["past"])
        self.model = MODELS[(folder / model["model"]).suffix](folder / model["model"])
        queries = self.told["queries"]
        self.text: list[str] = [*queries["text"], *past["queries"]["text"]]
        self.topic: list[int] = [*queries["topic"], *past["queries"]["topic"]]
        self.count = dict(enumerate(queries["count"]))
        self.events: list[int] = past["events"]
        self.group = past["group"]
        self.off = {
            name: dict(zip(table["first"], table["count"], strict=True))
            for name, table in past["off"].items()
            if "second" not in table
        }
        self.pairs = {name: pairs(table) for name, table in self.told["counts"].items()}
        for name, counts in self.pairs.items():
            for pair, count in pairs(past["off"][name]).items():
                counts[pair] = max(0, counts[pair] - count)

    def observe(self, text: str) -> None:
        text = clean(text, self.recipe["longest_query"])
        if not text:
            return
        if text not in self.text:
            self.text.append(text)
            self.topic.append(-1)
        self.events.append(self.text.index(text))

    def suggest(self, typed: str) -> list[tuple[str, float, bool]]:
        prefix = clean(typed, self.recipe["longest_query"])
        if not prefix:
            return [(self.text[one], 0.0, True) for one in self.own("", len(self.events))][:100]
        if typed[-1:].isspace():
            prefix += " "
        pool = self.pool(prefix)
        if not pool:
            return []
        scores = self.scores(prefix, pool)
        return [
            (self.text[pool[at]], float(scores[at]), pool[at] in self.events)
            for at in np.argsort(-scores, kind="stable")[:100]
        ]

    def own(self, prefix: str, back: int) -> list[int]:
        latest = self.events[::-1][:back]
        return [one for one in dict.fromkeys(latest) if self.text[one].startswith(prefix)]

    def pool(self, prefix: str) -> list[int]:
        counts = {
            one: count - self.off["pools"].get(one, 0)
            for one, count in self.count.items()
            if count > 0 and self.text[one].startswith(prefix)
        }
        popular = sorted((one for one in counts if counts[one] > 0), key=lambda one: (-counts[one], one))
        popular = popular[: self.recipe["pool"]]
        return list(dict.fromkeys([*popular, *self.own(prefix, self.recipe["own_back"])]))

    def part(self, which: str, one: int) -> int | str:
        return one if which == "query" else self.text[one].split(" ")[0]

    def word(self, part: int | str) -> int:
        """Its number, −1 for what nobody is told of."""
        if isinstance(part, int):
            return part
        return self.told["words"].index(part) if part in self.told["words"] else -1

    def scores(self, prefix: str, pool: list[int]) -> Any:
        numbers = self.numbers(len(prefix), pool)
        columns = []
        for feature in self.recipe["features"]:
            x = np.array(numbers[feature["name"]], float)
            fx = np.log1p(x) if feature["logarithm"] else x
            columns.append(feature["times"] * (fx - feature["minus"]))
        features = np.stack(columns, axis=1).astype(np.float32)
        return self.model(features, [self.text[one] for one in pool], len(prefix))

    def numbers(self, typed: int, pool: list[int]) -> dict[str, list[float]]:
        lately = self.events[-self.recipe["history"] :]
        found: dict[str, list[float]] = {
            "popularity": [self.count.get(one, 0) - self.off["query"].get(one, 0) for one in pool],
            "group popularity": [
                self.pairs["group"][self.group, one] if self.group >= 0 else 0 for one in pool
            ],
            "length": [len(self.text[one]) for one in pool],
            "typed share": [typed / len(self.text[one]) for one in pool],
            "own recency": [1 / (1 + lately[::-1].index(one)) if one in lately else 0 for one in pool],
            "equals previous": [float(lately[-1:] == [one]) for one in pool],
        }
        for name, which, most in (
            ("own count", "query", self.recipe["history"]),
            ("own first word", "word", self.recipe["history"]),
            *((f"own count of {most}", "query", most) for most in self.recipe["lately"]),
        ):
            counts = Counter(self.part(which, one) for one in lately[-most:])
            found[name] = [counts[self.part(which, one)] for one in pool]
        for step in self.recipe["steps"]:
            self.follow(step, pool, lately, found)
        for name, of in (
            ("popularity",) * 2,
            ("own count",) * 2,
            ("follows", "follows previous"),
            ("own follows", "own follows previous"),
        ):
            total = sum(found[of])
            found[f"share of {name}"] = [count / total if total else 0 for count in found[of]]
        topic = Counter(self.topic[one] for one in lately)
        found["own topic share"] = [
            topic[self.topic[one]] / max(1, len(lately)) if self.topic[one] >= 0 else 0 for one in pool
        ]
        now = self.topic[lately[-1]] if lately else -1
        found["session topic"] = [float(now >= 0 and self.topic[one] == now) for one in pool]
        for number, name in enumerate(self.told["topics"]):
            found[f"topic {name}"] = [float(self.topic[one] == number) for one in pool]
        return found

    def follow(self, step: dict[str, Any], pool: list[int], lately: list[int], found: dict[str, Any]) -> None:
        name, back = step["name"], step["back"]
        then = [self.part(step["then"], one) for one in pool]
        if len(lately) < back:
            found[name] = found[f"own {name}"] = [0] * len(pool)
            return
        before = self.part(step["given"], lately[-back])
        own = Counter(
            self.part(step["then"], later)
            for earlier, later in zip(lately, lately[back:], strict=False)
            if self.part(step["given"], earlier) == before
        )
        found[f"own {name}"] = [own[one] for one in then]
        found[name] = [self.pairs[name][self.word(before), self.word(one)] for one in then]


def pairs(table: dict[str, list[int]]) -> Pairs:
    keys = zip(table["first"], table["second"], strict=True)
    return Counter(dict(zip(keys, table["count"], strict=True)))
