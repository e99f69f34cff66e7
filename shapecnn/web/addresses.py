"""Describe the addresses of the JSON API: the routes and the OpenAPI document are made from the same list."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from shapecnn import __version__
from shapecnn.web.schemas import ErrorRecord

Handler = Callable[[Request], Awaitable[Response]]

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0}
UP: dict[str, Any] = {"type": "string", "enum": ["x", "y", "z"]}
MOST_RESULTS = 1000
COUNT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": MOST_RESULTS, "default": 10}


class NumberConvertor(Convertor[int]):
    """A whole number in a path. That of Starlette takes thousands of digits too, which Python refuses to convert."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        """Return the number that a text stands for."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Return the text of a number."""
        return str(value)


register_url_convertor("number", NumberConvertor())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an address, after its question mark."""

    name: str
    about: str
    schema: dict[str, Any] = field(default_factory=lambda: TEXT)
    required: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the API.

    Attributes:
        method: HTTP method.
        path: Path with its variables in braces; ``{name:number}`` is a whole number.
        handler: Function that answers a request.
        about: What is returned or done, in one sentence.
        answer: Model of the JSON value that is returned, or the media type of another answer.
        parameters: Parameters after the question mark.
        body: Media type of the body of the request; None if it has none.
        status: Status of a successful answer.
    """

    method: str
    path: str
    handler: Handler
    about: str
    answer: type[BaseModel] | str
    parameters: Sequence[Parameter] = ()
    body: str | None = None
    status: int = 200


def openapi(addresses: Sequence[Address]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of the API.

    Args:
        addresses: Addresses of the API.
    """
    models = {each.answer for each in addresses if not isinstance(each.answer, str)} | {ErrorRecord}
    ordered = sorted(models, key=lambda model: model.__name__)
    template = "#/components/schemas/{model}"
    _, schemas = models_json_schema([(model, "serialization") for model in ordered], ref_template=template)
    paths: dict[str, dict[str, Any]] = {}
    for each in addresses:
        plain = re.sub(r":\w+\}", "}", each.path)
        paths.setdefault(plain, {})[each.method.lower()] = _operation(each, plain)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "shapecnn serve",
            "version": __version__,
            "description": "Search a collection of 3D shapes. The JSON values are those of the commands with --json.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _operation(each: Address, plain: str) -> dict[str, Any]:
    if isinstance(each.answer, str):
        content = {each.answer: {"schema": {"type": "string", "contentMediaType": each.answer}}}
    else:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{each.answer.__name__}"}}}
    variables = [
        {"name": name, "in": "path", "required": True, "schema": TEXT if name == "query" else NUMBER}
        for name in re.findall(r"\{(\w+)\}", plain)
    ]
    asked = [
        {
            "name": one.name,
            "in": "query",
            "description": one.about,
            "required": one.required,
            "schema": {"type": "array", "items": one.schema} if one.many else one.schema,
        }
        for one in each.parameters
    ]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorRecord"}}}
    operation: dict[str, Any] = {
        "operationId": each.handler.__name__.strip("_"),
        "summary": each.about,
        "parameters": variables + asked,
        "responses": {
            str(each.status): {"description": each.about, "content": content},
            "default": {"description": "What is wrong, and what to do.", "content": error},
        },
    }
    if each.body is not None:
        binary = {"schema": {"type": "string", "contentMediaType": each.body}}
        operation["requestBody"] = {"required": True, "content": {each.body: binary}}
    return operation
