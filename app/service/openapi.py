"""What a service can be asked: an OpenAPI 3.1 document, and a page that needs nothing from elsewhere."""

from typing import Any

from app.service.asked import Adapt, Asked, Observe, Suggest

PROBLEM = {"$ref": "#/components/schemas/Problem"}

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>PersaRank service</title>
<meta name="viewport" content="width=device-width">
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
pre{background:#f4f4f4;padding:.75rem;overflow:auto}code{background:#f4f4f4}</style>
<h1>PersaRank service</h1>
<p>The whole description, for programs: <a href="openapi.json">openapi.json</a>.</p>
<h2>Suggest</h2><pre>GET /v1/suggest?user=ann&amp;q=wea&amp;k=5</pre>
<p>The best completions for what ann has typed, by the model that ranks for her.
A name that nobody knows is a new user.</p>
<h2>Observe</h2>
<pre>POST /v1/observe   {"user": "ann", "q": "weather oslo", "prefix": "wea", "key": "7f3a"}</pre>
<p>Keeps a search of hers: it is on disk when this is answered. The same <code>key</code> again
is kept once.</p>
<h2>Adapt</h2><pre>POST /v1/adapt   {"user": "ann"}</pre>
<p>Makes her own model anew, from what she has searched.</p>
<h2>Delete</h2><pre>DELETE /v1/users/ann</pre>
<p>Forgets all that the service has kept of her. From then on she is new to it.</p>
<p>Where several runs are served, <code>run=NAME</code> asks one of them; else the first answers.
What users do is known to all.</p>
<h2>Operations</h2><pre>GET /healthz   GET /readyz   GET /metrics</pre>
</html>
"""

ANSWERS: dict[tuple[str, str], tuple[str, type[Asked] | None, dict[str, str]]] = {
    ("get", "/v1/suggest"): ("A user's list", Suggest, {"200": "The list"}),
    ("post", "/v1/observe"): ("Keep a search", Observe, {"201": "Kept", "200": "Kept before, by its key"}),
    ("post", "/v1/adapt"): (
        "Make a user's model anew",
        Adapt,
        {"200": "Made", "409": "Nothing to learn from"},
    ),
    ("delete", "/v1/users/{user}"): ("Forget a user", None, {"204": "Forgotten"}),
    ("get", "/healthz"): ("The service lives", None, {"200": "It does"}),
    ("get", "/readyz"): ("The service can answer", None, {"200": "It can"}),
    ("get", "/metrics"): ("For Prometheus", None, {"200": "Text"}),
}
ERRORS = ("400", "401", "404", "408", "413", "415", "421", "422", "429", "503")


def document(tokens: bool) -> dict[str, Any]:
    """OpenAPI 3.1.

    Args:
        tokens: whether requests must bear one.
    """
    paths: dict[str, Any] = {}
    for (method, path), (summary, kind, answers) in ANSWERS.items():
        paths.setdefault(path, {})[method] = _operation(method, path, summary, kind, answers)
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "PersaRank service", "version": "1"},
        "paths": paths,
        "components": {"schemas": {"Problem": _problem()}},
    }
    if tokens:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _operation(
    method: str, path: str, summary: str, kind: type[Asked] | None, answers: dict[str, str]
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": {}}
    for status, told in answers.items():
        operation["responses"][status] = {"description": told}
    if path.startswith("/v1/"):
        error = {"description": "A problem", "content": {"application/problem+json": {"schema": PROBLEM}}}
        operation["responses"] |= dict.fromkeys(ERRORS, error)
    if "{user}" in path:
        user = Suggest.model_json_schema()["properties"]["user"]
        operation["parameters"] = [{"name": "user", "in": "path", "required": True, "schema": user}]
    if kind is not None:
        schema = kind.model_json_schema()
        if method == "get":
            operation["parameters"] = [
                {"name": name, "in": "query", "required": name in schema["required"], "schema": one}
                for name, one in schema["properties"].items()
            ]
        else:
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _problem() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "integer"}
    return {"type": "object", "properties": {"type": text, "title": text, "status": number, "detail": text}}
