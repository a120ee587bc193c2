"""One sentence instead of a traceback, on every page."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from app.reports.evidence.gathering import BROKEN
from app.runs.checks import ConfigError
from app.web.literal import literal
from app.web.opened import AppError
from data.files import what_is_wrong

KNOWN = (*BROKEN, AppError, ConfigError)
LOG = logging.getLogger(__name__)


@contextmanager
def guarded() -> Iterator[None]:
    """Show what goes wrong inside as a sentence; what nobody foresaw is told on stderr, with its traceback.

    The entry draws every page inside. A fragment, which Streamlit reruns by itself, has to use it too.
    """
    try:
        yield
    except KNOWN as error:
        st.error(literal(what_is_wrong(error)))
    except MemoryError:
        st.error("There is not enough memory for this.")
    except Exception:
        LOG.exception("A page could not be drawn.")
        st.error("Something unexpected went wrong. The terminal in which the app was started says what.")
