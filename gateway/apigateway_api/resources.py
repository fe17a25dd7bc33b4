"""Resources of REST APIs: the tree of paths that methods hang on."""

from __future__ import annotations

import re
from typing import Any

from gateway.api_documents import Draft, bad_request, change, conflict, limit_of, new_id, not_found, page, read
from gateway.call import Call

MAX_PAGE = 500
DEFAULT_PAGE = 25
_PART = re.compile(r"[a-zA-Z0-9._:~-]+|\{[a-zA-Z0-9._-]+\+?\}")


async def create_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    resource_id = new_id(6)

    def edit(draft: Draft) -> dict[str, Any]:
        return shown(add(draft.document, given["parentId"], given["pathPart"], resource_id))

    return await change(call, "REST", given["restApiId"], edit)


async def get_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    document = (await read(call, "REST", given["restApiId"])).document
    return shown(find(document, given["resourceId"]), methods=True, whole="methods" in given.get("embed", ()))


async def get_resources(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    document = (await read(call, "REST", given["restApiId"])).document
    limit = limit_of(given.get("limit"), default=DEFAULT_PAGE, most=MAX_PAGE)
    ordered = sorted(document["resources"].values(), key=lambda one: one["path"])
    items, token = page(ordered, given.get("position"), limit)
    whole = "methods" in given.get("embed", ())
    return {"items": [shown(one, methods=True, whole=whole) for one in items], "position": token}


async def update_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    def edit(draft: Draft) -> dict[str, Any]:
        document = draft.document
        resource = find(document, given["resourceId"])
        for operation in given.get("patchOperations", []):
            path, value = operation.get("path"), operation.get("value", "")
            if operation.get("op") != "replace" or path not in ("/parentId", "/pathPart"):
                raise bad_request(
                    f"Invalid patch path  '{path}' specified for op '{operation.get('op')}'. "
                    "Must be one of: [/parentId, /pathPart]"
                )
            if path == "/parentId":
                _check_no_cycle(document, resource, find(document, value))
            changed = {**resource, path[1:]: value}
            _check(document, changed)
            resource |= changed
        _set_paths(document)
        return shown(resource)

    return await change(call, "REST", given["restApiId"], edit)


async def delete_resource(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """With everything below it."""

    def edit(draft: Draft) -> dict[str, Any]:
        resources = draft.document["resources"]
        doomed = {find(draft.document, given["resourceId"])["id"]}
        if draft.document["api"]["rootResourceId"] in doomed:
            raise bad_request("Root resource cannot be deleted")
        while more := {one["id"] for one in resources.values() if one.get("parentId") in doomed} - doomed:
            doomed |= more
        for resource_id in doomed:
            del resources[resource_id]
        return {}

    return await change(call, "REST", given["restApiId"], edit)


def add(document: dict[str, Any], parent_id: str, part: str, resource_id: str) -> dict[str, Any]:
    """A new resource below another one. Raises what is wrong with it."""
    find(document, parent_id)
    resource = {"id": resource_id, "parentId": parent_id, "pathPart": part}
    _check(document, resource)
    document["resources"][resource_id] = resource
    _set_paths(document)
    return resource


def find(document: dict[str, Any], resource_id: str) -> dict[str, Any]:
    try:
        return document["resources"][resource_id]
    except KeyError as exc:
        raise not_found("Invalid Resource identifier specified") from exc


def shown(resource: dict[str, Any], *, methods: bool = False, whole: bool = False) -> dict[str, Any]:
    """whole: methods with what is in them; else only their names."""
    if not methods or not resource.get("resourceMethods"):
        return {name: value for name, value in resource.items() if name != "resourceMethods"}
    return resource if whole else {**resource, "resourceMethods": {name: {} for name in resource["resourceMethods"]}}


def _check(document: dict[str, Any], resource: dict[str, Any]) -> None:
    part, parent = resource["pathPart"], find(document, resource["parentId"])
    if not _PART.fullmatch(part):
        raise bad_request(
            "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the "
            "beginning and the end."
        )
    if parent.get("pathPart", "").endswith("+}"):
        raise bad_request(f"Cannot create a child of a resource with a greedy path variable: {parent['pathPart']}")
    for other in document["resources"].values():
        if other.get("parentId") != resource["parentId"] or other["id"] == resource["id"]:
            continue
        if other["pathPart"] == part:
            raise conflict(f"Another resource with the same parent already has this name: {part}")
        if part.startswith("{") and other["pathPart"].startswith("{"):
            raise bad_request(
                f"A sibling ({other['pathPart']}) of this resource already has a variable path part -- only one is "
                "allowed"
            )


def _check_no_cycle(document: dict[str, Any], resource: dict[str, Any], parent: dict[str, Any]) -> None:
    above: dict[str, Any] | None = parent
    while above is not None:
        if above["id"] == resource["id"]:
            raise bad_request("Resources cannot be cyclical.")
        above = document["resources"].get(above.get("parentId", ""))


def _set_paths(document: dict[str, Any]) -> None:
    resources = document["resources"]
    for resource in resources.values():
        parts: list[str] = []
        above = resource
        while "parentId" in above:
            parts.insert(0, above["pathPart"])
            above = resources[above["parentId"]]
        resource["path"] = "/" + "/".join(parts)
