"""How features are made of counts, as JSON: another program that follows it ranks as ours does."""

from typing import Any

from app.suggestions.candidates import Candidates
from data.completions import POOL_SIZE
from data.reading.columns import LONGEST_QUERY
from ranking.events import STEPS
from ranking.features import FOLLOWS, LATELY, VERSION, feature_names, scale
from ranking.history import HISTORY
from ranking.scoring import DECIMALS


def recipe(candidates: Candidates) -> dict[str, Any]:
    """Sizes and scales; the guide that is exported beside it says in words what is counted.

    Args:
        candidates: of the run's dataset.
    """
    names = feature_names(candidates.public)
    return {
        "version": VERSION,
        "pool": POOL_SIZE,
        "own_back": candidates.back,
        "history": HISTORY,
        "lately": list(LATELY),
        "longest_query": LONGEST_QUERY,
        "decimals": DECIMALS,
        "steps": [{"name": FOLLOWS[step][0], **step._asdict()} for step in STEPS],
        "features": [{"name": name, **scale(name)._asdict()} for name in names],
    }
