"""gRPC with Python's grpcio, without generated code."""

import json
import threading

import grpc

from report import BASE, body, main, pattern, scenario

channel = grpc.insecure_channel(BASE.removeprefix("http://"), options=[("grpc.max_receive_message_length", 16 << 20)])
METADATA = (("x-text", "one"), ("x-text", "two"), ("x-data-bin", b"\x00\xfe\xff"), ("x-empty-bin", b""))


def pairs(metadata):
    return [[key, value.hex() if isinstance(value, bytes) else value] for key, value in metadata or ()]


def ended(call):
    """Status, metadata both ways, and what the server saw of ours."""
    trailing = pairs(call.trailing_metadata())
    seen = next((json.loads(value) for name, value in trailing if name == "x-seen"), None)
    result = {
        "code": call.code().name,
        "details": call.details(),
        # The form of an answer, for the comparison: fields, in their order.
        "initial": {"status": 200, "headers": pairs(call.initial_metadata())},
        # A proxy dates an answer, and one without a message is all trailers to gRPC.
        "trailing": [pair for pair in trailing if pair[0] not in ("x-seen", "date")],
    }
    if seen is not None:
        result["upstream"] = {"headers": seen}
    return result


@scenario
def unary():
    message, call = channel.unary_unary("/interop.Echo/Unary").with_call(b"hello", metadata=METADATA, timeout=10)
    return {"message": message.hex(), **ended(call)}


@scenario
def empty_message():
    message, call = channel.unary_unary("/interop.Echo/Unary").with_call(b"", timeout=10)
    return {"message": message.hex(), **ended(call)}


@scenario
def large_message():
    message, call = channel.unary_unary("/interop.Echo/Unary").with_call(pattern(3 << 20), timeout=10)
    return {"message": body(message), **ended(call)}


def refused(method):
    try:
        channel.unary_unary(method)(b"x", metadata=METADATA, timeout=10)
    except grpc.RpcError as call:
        return ended(call)
    return "no error"


@scenario
def error_in_trailers_only():
    return refused("/interop.Echo/Fail")


@scenario
def unknown_method():
    return refused("/interop.Echo/Unknown")


@scenario
def error_midway():
    call = channel.unary_stream("/interop.Echo/FailMidway")(b"x", timeout=10)
    messages = []
    try:
        messages.extend(message.hex() for message in call)
    except grpc.RpcError:
        pass
    return {"messages": messages, **ended(call)}


@scenario
def server_stream():
    call = channel.unary_stream("/interop.Echo/ServerStream")(b"n", timeout=10)
    return {"messages": [message.decode() for message in call], **ended(call)}


@scenario
def client_stream():
    message, call = channel.stream_unary("/interop.Echo/ClientStream").with_call((pattern(50_000) for _ in range(40)), timeout=10)
    return {"message": message.decode(), **ended(call)}


@scenario
def bidi_one_by_one():
    """Each message is sent after the answer to the one before."""
    proceed = threading.Semaphore(1)

    def messages():
        for n in range(10):
            proceed.acquire()
            yield b"%d" % n

    call = channel.stream_stream("/interop.Echo/Bidi")(messages(), timeout=10)
    got = []
    for message in call:
        got.append(message.decode())
        proceed.release()
    return {"messages": got, **ended(call)}


@scenario
def deadline():
    try:
        channel.unary_unary("/interop.Echo/Slow")(b"x", timeout=0.5)
    except grpc.RpcError as call:
        return call.code().name
    return "no error"


@scenario
def cancelled():
    call = channel.unary_unary("/interop.Echo/Slow").future(b"x", timeout=10)
    call.cancel()
    return call.code().name


@scenario
def many_at_once():
    method = channel.unary_unary("/interop.Echo/Unary")
    calls = [method.future(b"%d" % n, timeout=10) for n in range(200)]
    return [call.result().decode() for call in calls]


main()
channel.close()
