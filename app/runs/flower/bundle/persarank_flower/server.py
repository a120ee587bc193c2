"""The ServerApp."""

from app.runs.flower.job import serve
from federated.engines.flower.apps import server_app

app = server_app(serve)
