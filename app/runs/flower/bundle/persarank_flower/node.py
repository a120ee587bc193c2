"""The ClientApp."""

from app.runs.flower.node import work
from federated.engines.flower.apps import client_app

app = client_app(work)
