"""A gRPC service of Python's grpcio, without generated code: messages are plain bytes.

usage: grpc_server.py CERTIFICATE KEY; prints its ports as one line of JSON.
"""

import json
import pathlib
import sys
import threading
import time
from concurrent import futures

import grpc


def seen(context):
    """What the call brought, as trailing metadata: names and values, binary ones as hex."""
    pairs = [[k, v.hex() if isinstance(v, bytes) else v] for k, v in context.invocation_metadata()]
    return ("x-seen", json.dumps(pairs))


def unary(request, context):
    context.send_initial_metadata((("x-initial", "1"), ("x-raw-bin", b"\x00\xff\n")))
    context.set_trailing_metadata((seen(context), ("x-trailing-bin", b"\xfe\x00")))
    return request


def fail(_request, context):
    """An answer that is trailers only, with a message that needs percent-encoding."""
    context.set_trailing_metadata((seen(context),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: 100 % of caf\u00e9")


def fail_midway(request, context):
    yield request
    context.set_trailing_metadata((seen(context),))
    context.abort(grpc.StatusCode.DATA_LOSS, "after one message")


def server_stream(request, context):
    context.set_trailing_metadata((seen(context),))
    for n in range(20):
        yield request + b" %d" % n


def client_stream(requests, context):
    total = sum(len(request) for request in requests)
    context.set_trailing_metadata((seen(context),))
    return b"%d" % total


def bidi(requests, context):
    for request in requests:
        yield request
    context.set_trailing_metadata((seen(context),))


def slow(request, context):
    """Outlasts any deadline of a test, and ends when the caller has gone."""
    gone = threading.Event()
    context.add_callback(gone.set)
    remaining = context.time_remaining()
    gone.wait(10 if remaining is None else min(10, remaining + 5))
    time.sleep(0.01)
    return request


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailMidway": grpc.unary_stream_rpc_method_handler(fail_midway),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
}


def main():
    certificate, key = (pathlib.Path(name).read_bytes() for name in sys.argv[1:3])
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("interop.Echo", HANDLERS),))
    ports = {
        "h2c": server.add_insecure_port("127.0.0.1:0"),
        "tls": server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)])),
    }
    server.start()
    print(json.dumps(ports), flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
