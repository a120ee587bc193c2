"""What Flower runs for us: a ServerApp around the loop of a server, and a ClientApp around a node's work."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from flwr.app import Context, Error, Message, MessageType
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from federated.engines.flower.messages import packed, unpacked
from federated.engines.messages import Content, Reply

FAILED = 200
"""The code of the error that a node answers with; what went wrong is told nobody but its own log."""

Work = Callable[[str, Content, Mapping[str, Any]], Content]
"""What a node answers to an order of a kind, given how it is configured."""


class GridPost:
    """A Flower grid as a `Post`."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def nodes(self) -> list[int]:
        """See `Post.nodes`."""
        return list(self._grid.get_node_ids())

    def send(self, node: int, kind: str, content: Content, within: float) -> str | None:
        """See `Post.send`: Flower leaves out, or names by nothing, what it could not take."""
        message = Message(packed(kind, content), node, MessageType.TRAIN, ttl=within)
        names = [name for name in self._grid.push_messages([message]) if name]
        return names[0] if names else None

    def fetch(self, names: Collection[str]) -> list[Reply]:
        """See `Post.fetch`."""
        return [_reply(message) for message in self._grid.pull_messages(list(names))]


def _reply(message: Message) -> Reply:
    to = message.metadata.reply_to_message_id
    if message.has_error():
        return Reply(to, None, str(message.error.reason))
    try:
        return Reply(to, unpacked(message.content)[1])
    except ValueError as error:
        return Reply(to, None, str(error))


def server_app(serve: Callable[[GridPost, Mapping[str, Any]], None]) -> ServerApp:
    """A ServerApp that runs ``serve`` with the post, and the run's configuration."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        serve(GridPost(grid), dict(context.run_config))

    return app


def client_app(work: Work) -> ClientApp:
    """A ClientApp that answers by ``work``. The texts of errors stay on the node: they may hold searches."""
    app = ClientApp()

    @app.train()
    def answer(message: Message, context: Context) -> Message:
        kind = ""
        try:
            kind, content = unpacked(message.content)
            return Message(packed(kind, work(kind, content, dict(context.node_config))), reply_to=message)
        except Exception:
            _log(kind)
            return Message(Error(FAILED, f"the node could not do it: {kind}"), reply_to=message)

    return app


def _log(kind: str) -> None:
    """Write down, on the node, why an order failed."""
    import traceback

    with suppress(OSError):
        print(f"order {kind!r} failed:", traceback.format_exc(), flush=True)
