# What Python's h11 makes of the bytes of one connection (standard input): a line of JSON for each request that it reads.
import json
import sys

import h11


def read_request(connection):
    request, body = None, b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            request = event
            if connection.they_are_waiting_for_100_continue:
                connection.send(h11.InformationalResponse(status_code=100, headers=[]))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return request, body
        else:  # it is closed, or wants more than there is
            sys.exit(f"h11: {event} behind {request}")


connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
connection.receive_data(sys.stdin.buffer.read())
while True:
    request, body = read_request(connection)
    names = dict(request.headers)
    print(
        json.dumps(
            {
                "method": request.method.decode("latin1"),
                "url": request.target.decode("latin1"),
                "type": names.get(b"content-type", b"").decode("latin1"),
                "body": body.decode("latin1"),
            }
        )
    )
    connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.MUST_CLOSE:
        break
    connection.start_next_cycle()
if connection.trailing_data[0]:
    sys.exit("h11: bytes behind the last request")
