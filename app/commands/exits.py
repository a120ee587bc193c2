"""Exit codes of `persarank`, and which failure ends with which."""

OK, INTERRUPTED, USAGE, BAD_DATA, BAD_CONFIG, BAD_RUN, BAD_MODEL = range(7)

SIGNALLED = 130
"""What typer makes of a Ctrl-C that nobody else took."""


def code_of(error: Exception) -> int | None:
    """The documented code of a known failure. Imports late, so that `demo` starts without the models."""
    from app.experiments.children import ChildError
    from app.runs.checks import ConfigError
    from app.runs.directory import RunError
    from app.runs.flower.network import NetworkError
    from app.runs.flower.submitting import ServerError
    from app.runs.training import NotFiniteError, UnfinishedError
    from app.service.store import StoreError
    from data.privacy import PrivacyError
    from data.schema import DataError
    from federated.engines import MissingEngineError
    from federated.engines.serving import HopelessError
    from federated.patience import EndlessError
    from federated.server.uploads import UploadError
    from ranking.rankers.trees import ModelError

    codes: dict[type[BaseException], int] = {
        NotFiniteError: BAD_CONFIG,
        UnfinishedError: INTERRUPTED,
        DataError: BAD_DATA,
        ConfigError: BAD_CONFIG,
        PrivacyError: BAD_CONFIG,
        EndlessError: BAD_CONFIG,
        UploadError: BAD_CONFIG,
        FloatingPointError: BAD_CONFIG,
        MemoryError: BAD_CONFIG,
        RunError: BAD_RUN,
        ModelError: BAD_MODEL,
        MissingEngineError: BAD_CONFIG,
        NetworkError: BAD_RUN,
        HopelessError: BAD_RUN,
        StoreError: BAD_RUN,
    }
    if isinstance(error, ChildError):
        return error.code if INTERRUPTED <= error.code <= BAD_MODEL else BAD_RUN
    if isinstance(error, ServerError):
        codes[KeyboardInterrupt] = INTERRUPTED  # before there was anything to save
        return next((code for kind, code in codes.items() if kind.__name__ in error.kinds), None)
    return next((code for kind, code in codes.items() if isinstance(error, kind)), None)
