"""What routes, integrations and authorizers have in common: Create, Get, List, Update and Delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.api_documents import Draft, change, limit_of, new_id, not_found, page, read
from gateway.apigatewayv2_api.deployments import auto_deploy
from gateway.call import Call

MAX_PAGE = 500


def _anything(draft: Draft, part: dict[str, Any]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """complete(draft, part, given): fills in defaults, raises what is wrong with it. removable: raises if in use."""

    name: str
    #: member of the document that holds the API's parts of this kind by id
    collection: str
    id_member: str
    complete: Callable[[Draft, dict[str, Any], dict[str, Any]], None]
    removable: Callable[[Draft, dict[str, Any]], None] = _anything

    async def create(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        part_id = new_id()

        def edit(draft: Draft) -> dict[str, Any]:
            part = {self.id_member: part_id, **self._own(given)}
            self.complete(draft, part, given)
            draft.document[self.collection][part_id] = part
            auto_deploy(draft)
            return part

        return await change(call, "HTTP", given["ApiId"], edit)

    async def get(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        return self._find((await read(call, "HTTP", given["ApiId"])).document, given)

    async def list(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        document = (await read(call, "HTTP", given["ApiId"])).document
        limit = limit_of(given.get("MaxResults"), default=MAX_PAGE, most=MAX_PAGE)
        items, token = page(list(document[self.collection].values()), given.get("NextToken"), limit)
        return {"Items": items, "NextToken": token}

    async def update(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            part = self._find(draft.document, given)
            part |= self._own(given)
            self.complete(draft, part, given)
            auto_deploy(draft)
            return part

        return await change(call, "HTTP", given["ApiId"], edit)

    async def delete(self, call: Call, given: dict[str, Any]) -> dict[str, Any]:
        def edit(draft: Draft) -> dict[str, Any]:
            self.removable(draft, self._find(draft.document, given))
            del draft.document[self.collection][given[self.id_member]]
            auto_deploy(draft)
            return {}

        return await change(call, "HTTP", given["ApiId"], edit)

    def _find(self, document: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        try:
            return document[self.collection][given[self.id_member]]
        except KeyError as exc:
            raise not_found(f"Invalid {self.name} identifier specified") from exc

    def _own(self, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if name not in ("ApiId", self.id_member)}
