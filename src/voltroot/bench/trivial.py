"""A server that does nothing: what the load generator reaches with it is the most that it could ever show."""

from __future__ import annotations

import select
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n" + bytes(1024)


def serve(port: int) -> None:
    """Answer every request that arrives in one piece with the same octets, until killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                accepted, _ = listener.accept()
                connections[accepted.fileno()] = accepted
                poll.register(accepted, select.EPOLLIN)
            elif connections[number].recv(65536):
                connections[number].sendall(ANSWER)
            else:
                poll.unregister(number)
                connections.pop(number).close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
