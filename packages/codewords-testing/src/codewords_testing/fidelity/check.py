"""The comparison of a reply with the description of its operation."""

from __future__ import annotations

from collections.abc import Iterator

from codewords_testing.fidelity.exchange import SentReply
from codewords_testing.fidelity.framing import BodyMessage, MalformedBody, is_stream, messages
from codewords_testing.fidelity.operation import ApiOperation, DescribedService
from codewords_testing.fidelity.services import SERVICES
from codewords_testing.fidelity.shapes import Shape

NOT_MODIFIED = 304


def problems(exchange: SentReply) -> list[str]:
    """Parts of a reply that the service could not have sent; empty for a faithful one."""
    service = SERVICES.get(exchange.service)
    if service is None:
        return [f"{exchange}: no service of this name is described"]
    return [f"{exchange}: {problem}" for problem in _problems(service, exchange)]


def _problems(service: DescribedService, exchange: SentReply) -> Iterator[str]:
    if exchange.status >= 400:
        yield from _shaped(exchange, service.error)
        return

    operation = next((found for found in service.operations if found.serves(exchange)), None)
    if operation is None:
        yield "the service has no such operation"
    elif exchange.status not in (*operation.statuses, NOT_MODIFIED):
        yield f"the operation succeeds with {operation.statuses}"
    elif is_stream(exchange):
        yield from _streamed(exchange, operation, service)
    elif operation.answer is not None:
        yield from _shaped(exchange, operation.answer)


def _shaped(exchange: SentReply, shape: Shape) -> Iterator[str]:
    try:
        for message in messages(exchange):
            yield from shape.problems(message.value)
    except MalformedBody as error:
        yield str(error)


def _streamed(exchange: SentReply, operation: ApiOperation, service: DescribedService) -> Iterator[str]:
    if operation.stream is None and not operation.events:
        yield "the operation has no stream"
        return
    try:
        for message in messages(exchange):
            shape = _shape_of(message, operation, service)
            if shape is None:
                yield f"no event is named {message.kind!r}"
            else:
                yield from (
                    f"{message.kind or 'event'}: {problem}" for problem in shape.problems(message.value)
                )
    except MalformedBody as error:
        yield str(error)


def _shape_of(message: BodyMessage, operation: ApiOperation, service: DescribedService) -> Shape | None:
    if message.kind in operation.events:
        return operation.events[message.kind]
    # An error in the middle of a stream that names no events has the shape of any other error.
    if not message.kind and message.is_error:
        return service.error
    return operation.stream
