"""Reports of records that were given up, on their way to a mapping's on-failure destination.

A report is handed to the events (`pollers.event_dispatcher`), which keep it until the destination has taken it: a
destination that is away holds up no shard, and a report is not lost when this process is.
"""

from __future__ import annotations

from hearth.arn import function_arn
from hearth.broker.event_messages import EventPublisher
from hearth.clock import now_ms
from hearth.model.destination import DestinationKind, parse_destination
from hearth.model.event import Delivery, DeliveryKind, Event
from hearth.model.mapping import EventSourceMapping
from pollers.mapping_target import new_request_id
from pollers.streams.event import bucket_folder, event_of, failure_record
from pollers.streams.lane import Ran
from pollers.streams.outcome import Work
from pollers.streams.source import StreamSource


class Reports:
    def __init__(self, publisher: EventPublisher, mapping: EventSourceMapping) -> None:
        self._publisher = publisher
        self._mapping = mapping
        destination = parse_destination(mapping.on_failure) if mapping.on_failure else None
        self._to_bucket = destination is not None and destination.kind is DestinationKind.BUCKET

    async def send(
        self,
        work: Work,
        condition: str,
        ran: Ran | None,
        *,
        reported: bool,
        shard_id: str,
        source: StreamSource,
        tail: bytes,
    ) -> None:
        """tail: what closes each record. Returns when the report is stored, or when the mapping has no destination.

        Raises Unavailable, TooManyRequests.
        """
        mapping = self._mapping
        if not mapping.on_failure:
            return
        payload = event_of([one.head for one in work.records], tail) if self._to_bucket else None
        request_id = ran.request_id if ran else new_request_id()
        record = failure_record(
            work,
            condition,
            function_arn=function_arn(mapping.region, mapping.account, mapping.function),
            stream_arn=mapping.source_arn,
            shard_id=shard_id,
            batch_member=source.batch_member,
            whole_seconds=source.whole_seconds,
            now_ms=now_ms(),
            request_id=request_id,
            result=ran.result if ran else None,
            reported=reported,
            payload=payload,
        )
        delivery = Delivery(
            DeliveryKind.FAILURE, mapping.on_failure, condition, folder=bucket_folder(mapping.uuid, shard_id)
        )
        await self._publisher.accept(
            Event(
                request_id=request_id,
                account=mapping.account,
                region=mapping.region,
                name=mapping.function,
                payload=record,
                accepted_at_ms=now_ms(),
                qualifier=mapping.qualifier,
                delivery=delivery,
            )
        )
