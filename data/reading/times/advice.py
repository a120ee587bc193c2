"""Sentences about times that cannot be read: what they may be, and what to do."""

import re

from data.reading.times.shapes import layouts

_DAY = {
    "dmy": "with the day first",
    "mdy": "with the month first",
    "ymd": "with the year first",
    "named": "with the day first",
    "named_ymd": "with the year first",
}


def strange(text: str) -> str:
    """Why a text is not a time, to follow "is not a time"; empty if nothing better can be said."""
    plain = text.strip().lower()
    shape = re.sub(r"[0-9]", "0", plain)
    words = r"now|today|yesterday|tomorrow|noon|midnight|(last|this|next) \w+|\d+ \w+ ago|just now"
    if re.fullmatch(words, plain):
        return ": it means another moment every day"
    if re.fullmatch(r"(null|none|nan|nat|n/?a|nil|undefined|unknown|\\n|[-–—?.]+)", plain):
        return ": remove the row, or fill in its time"
    if layouts(shape):
        return ": there is no such date or time of day"
    if re.fullmatch(r"t?00?:00(:00([.,]0+)?)?( ?([ap]m|[ap]\.m\.|z))?|00? ?([ap]m|[ap]\.m\.)", shape):
        return ": it is a time of day without a date"
    zone = re.fullmatch(r"(.*0(?: ?[ap]m)?) ?\(?([a-z]{2,5})\)?( 0000)?", shape)
    if zone and "0:0" in zone[1] and (layouts(zone[1] + (zone[3] or "")) or zone[3]):
        return (
            f": the time zone {zone[2].upper()} is ambiguous; write it as an offset like +01:00, or use UTC"
        )
    if re.fullmatch(r"-?0\.0*e\+00", shape):
        return ": a spreadsheet has rounded the number; format the column as a whole number and export again"
    if re.fullmatch(r"0000[./-]00?|00?[./-]0000|[a-z]+\.?,? 0000", shape):
        return ": it is a month without a day"
    if re.search(r"[a-z]{3}", shape) and re.search(r"0:00", shape) and not re.search(r"0000", shape):
        return ": it has no year"
    if re.fullmatch(r"00?[./-]00?\.?( .*)?", shape):
        return ": it has no year"
    return ""


def ambiguous(text: str, one: str, other: str) -> str:
    """What two conventions make of a text that fits both, and how to choose."""
    ways = f"it can be read {_DAY[one]} and {_DAY[other]}, and no other row decides"
    options = [
        o
        for n, o in (("dmy", "--day-first"), ("named", "--day-first"), ("mdy", "--month-first"))
        if n in (one, other)
    ]
    formats = [repr(f) for f in (time_format(text, one), time_format(text, other)) if f]
    return f"{ways}: add {' or '.join([*options, '--time-format ' + ' or '.join(formats)])}."


def time_format(text: str, convention: str) -> str:
    """The strptime format of a text by a convention."""
    plain = re.sub(r"[0-9]", "0", text.strip().lower())
    layout = layouts(plain)[convention]
    spans = layout.spans
    directives = {
        "year": "%Y" if spans["year"][1] - spans["year"][0] == 4 else "%y",
        "month": "%m",
        "day": "%d",
        "hour": "%I" if layout.half else "%H",
        "minute": "%M",
        "second": "%S",
        "fraction": "%f",
        "offset": "%z",
    }
    text = text.strip()
    for part, (start, end) in sorted(spans.items(), key=lambda item: -item[1][0]):
        text = text[:start] + directives[part] + text[end:]
    text = re.sub(r"(?i)(?<![%\w])[ap]m\b|(?<=\d)[ap]m\b", "%p", text)
    if layout.month:
        text = re.sub(r"(?<![%a-zA-Z])[A-Za-z]{3}(?![a-zA-Z])", "%b", text, count=1)
    return text
