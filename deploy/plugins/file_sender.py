"""An example of a sender plug-in: writes each message as a line of JSON to a file.

Run it beside the service:

    pip install grpcio grpcio-tools
    python3 deploy/plugins/file_sender.py --listen 127.0.0.1:50061 --out messages.jsonl

and name it in the settings:

    [senders.own]
    kind = "plugin"
    channels = ["sms", "voice"]
    address = "http://127.0.0.1:50061"

Put the call to your provider in the place of `write`. Delivery is at least once, so `delivery_id` is remembered: a
message that comes again is answered and not written again. The file holds codes: keep it to yourself.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc
from grpc_tools import protoc

PROTOS = pathlib.Path(__file__).resolve().parents[2] / "proto"
# Deliveries that are remembered; a code lives ten minutes at most.
REMEMBERED_MAX = 100_000


def load_protos():
    """Compiles the protos of this repository and gives the modules of messages and of the service."""
    with tempfile.TemporaryDirectory(prefix="countersign-plugin-") as out:
        well_known = pathlib.Path(protoc.__file__).parent / "_proto"
        names = ["countersign/v1/verification.proto", "countersign/v1/sender_service.proto"]
        flags = [f"-I{PROTOS}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
        if protoc.main(["protoc", *flags, *names]) != 0:
            sys.exit("the protos do not compile")
        sys.path.insert(0, out)
        from countersign.v1 import sender_service_pb2 as messages, sender_service_pb2_grpc as service, verification_pb2
    return messages, service, verification_pb2


messages, service, verification = load_protos()


class FileSender(service.SenderServiceServicer):
    def __init__(self, out):
        self.out = out
        self.written = {}
        self.lock = threading.Lock()

    def SendMessage(self, request, context):
        with self.lock:
            if request.delivery_id not in self.written:
                try:
                    self.write(request)
                except OSError:
                    retry = messages.SendMessageResponse.Retry(reason="disk")
                    return messages.SendMessageResponse(retry=retry)
                self.remember(request.delivery_id)
        sent = messages.SendMessageResponse.Sent(reference=f"file-{request.delivery_id}")
        return messages.SendMessageResponse(sent=sent)

    def write(self, request):
        channel = verification.Channel.Name(request.channel)
        line = {"channel": channel, "address": request.address, "language": request.language, "text": request.text}
        if request.greeting:
            # A call: the greeting is said at once, the rest only once a key was pressed.
            line |= {"greeting": request.greeting, "ssml": request.ssml}
        # Only its owner may read it.
        with open(os.open(self.out, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def remember(self, delivery_id):
        self.written[delivery_id] = True
        if len(self.written) > REMEMBERED_MAX:
            # A dictionary keeps its order: the oldest goes.
            del self.written[next(iter(self.written))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:50061", help="address and port, or unix:PATH")
    parser.add_argument("--out", default="messages.jsonl", help="the file that messages are appended to")
    arguments = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    service.add_SenderServiceServicer_to_server(FileSender(arguments.out), server)
    if not server.add_insecure_port(arguments.listen):
        sys.exit(f"cannot listen on {arguments.listen}")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    server.start()
    print(f"listening on {arguments.listen}", flush=True)
    ended.wait()
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main()
