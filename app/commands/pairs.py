"""Options whose words are hyper-parameters of one section: `--attack sign-flip share=0.1`."""

from collections.abc import Iterator, Mapping, Sequence

import click

NAMED = {"attack": "kind", "defence": "rule"}
"""Hyper-parameters that are a word without a key, by section."""


def uploads(given: Mapping[str, Sequence[str] | None]) -> Iterator[str]:
    """The words of options by section, as `--set` has them: ``section.key=value``.

    Raises:
        UsageError: a word is no pair.
    """
    for section, values in given.items():
        option, words = OPTIONS.get(section, section), " ".join(values or ()).replace(",", " ").split()
        keys = [word.partition("=")[0] for word in words if "=" in word]
        for key in keys:
            if keys.count(key) > 1:
                raise click.UsageError(f"--{option} has {key} twice: which one is meant?")
        if values and not words:
            raise click.UsageError(f"--{option} needs words: e.g. --{option} {EXAMPLES[section]}.")
        for number, word in enumerate(words):
            key, equals, _ = word.partition("=")
            if equals and key:
                yield f"{section}.{word}"
            elif not equals and not number and section in NAMED:
                yield f"{section}.{NAMED[section]}={word}"
            elif not equals and section in NAMED:
                raise click.UsageError(f"--{option} {word}: there can be one only, and then key=value.")
            else:
                raise click.UsageError(f"--{option} {word}: write key=value, e.g. {EXAMPLES[section]}.")


OPTIONS = {"compression": "compress"}
"""Options that have another name than their section."""

EXAMPLES = {
    "privacy": "epsilon=2 delta=1e-3",
    "attack": "sign-flip share=0.1",
    "defence": "clip+trimmed-mean f=4",
    "compression": "bits=8",
}
