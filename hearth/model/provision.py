"""Which sandboxes are to be kept initialised: from a function's provisioned concurrency to its versions. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hearth.model.concurrency import Provisioned, shares
from hearth.model.function import Alias


def wanted_by_version(provisioned: Mapping[str, Provisioned], aliases: Mapping[str, Alias]) -> dict[str, int]:
    """Version number -> sandboxes. provisioned: by qualifier."""
    wanted: Counter[str] = Counter()
    for qualifier, one in provisioned.items():
        wanted.update(shares_of(qualifier, one.wanted, aliases))
    return dict(wanted)


def served_before(
    qualifier: str, provisioned: Mapping[str, Provisioned], aliases: Mapping[str, Alias]
) -> dict[str, int]:
    """Version number -> sandboxes that count for others before this qualifier: aliases may share a version's."""
    return wanted_by_version({name: one for name, one in provisioned.items() if name < qualifier}, aliases)


def shares_of(qualifier: str, wanted: int, aliases: Mapping[str, Alias]) -> dict[str, int]:
    """Version number -> sandboxes, of one version's or alias's provisioned concurrency; a weighted alias divides it."""
    if qualifier.isdecimal():
        return {qualifier: wanted}
    alias = aliases.get(qualifier)
    if alias is None:
        return {}
    return shares(wanted, {alias.version: 1 - sum(alias.weights.values()), **alias.weights})
