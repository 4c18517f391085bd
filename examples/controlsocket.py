#!/usr/bin/env python3
"""Serves a file, and fetches one, through the stack of a running boot, by its control socket alone (src/control/CONTRACT.md).

    python3 controlsocket.py /run/netmod/tap0.sock serve 8000 FILE       then, on the host: curl http://10.0.0.2:8000/
    python3 controlsocket.py /run/netmod/tap0.sock fetch 10.0.0.1 8000 /FILE > COPY
"""
import base64, json, socket, sys

class Netmod:
    """A boot's control socket: every system call of its kernel is a method."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.lines = self.sock.makefile("r", encoding="utf-8")
        self.greeting = json.loads(self.lines.readline())

    def __getattr__(self, name):
        def call(*args):
            self.sock.sendall(json.dumps({"id": 1, "call": name, "args": args}).encode() + b"\n")
            answer = json.loads(self.lines.readline())
            if "errno" in answer:
                raise OSError(answer["errno"], answer["message"])
            return answer["ret"]

        return call

    def write(self, fd, data):
        while data:
            data = data[self.send(fd, base64.b64encode(data[:65536]).decode()) :]

    def read(self, fd):
        return base64.b64decode(self.recv(fd, 65536)["data"])


def serve(net, port, file):
    fd = net.socket("inet", "stream", 0)
    net.bind(fd, {"addr": "0.0.0.0", "port": int(port)})
    net.listen(fd, 16)
    while True:
        peer = net.accept(fd)["fd"]
        try:
            net.read(peer)  # Whatever is asked for, the answer is the file.
            body = open(file, "rb").read()
            net.write(peer, b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        except OSError as error:
            print(error, file=sys.stderr)
        net.close(peer)


def fetch(net, host, port, path):
    fd = net.socket("inet", "stream", 0)
    net.connect(fd, {"addr": host, "port": int(port)})
    net.write(fd, b"GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path.encode(), host.encode()))
    answer = b"".join(iter(lambda: net.read(fd), b""))
    sys.stdout.buffer.write(answer.partition(b"\r\n\r\n")[2])


if __name__ == "__main__":
    {"serve": serve, "fetch": fetch}[sys.argv[2]](Netmod(sys.argv[1]), *sys.argv[3:])
