"""A first approval: starts a verification, reads its code from the development outbox, checks the code.

From the root of the repository, with a development server (cargo run --release):

    python3 -m venv examples/python/.venv
    examples/python/.venv/bin/pip install grpcio grpcio-tools
    examples/python/.venv/bin/python -m grpc_tools.protoc -I proto --python_out=examples/python \
        --grpc_python_out=examples/python proto/countersign/v1/verification.proto \
        proto/countersign/v1/verification_service.proto
    examples/python/.venv/bin/python examples/python/first_approval.py
"""

import json
import os
import pathlib
import time
import urllib.request
import uuid

import grpc
from countersign.v1 import verification_pb2 as v
from countersign.v1 import verification_service_pb2 as s
from countersign.v1.verification_service_pb2_grpc import VerificationServiceStub

GRPC = os.environ.get("COUNTERSIGN_GRPC", "127.0.0.1:50051")
HTTP = os.environ.get("COUNTERSIGN_HTTP", "http://127.0.0.1:8080")
KEY = os.environ.get("COUNTERSIGN_KEY") or pathlib.Path("countersign-data/development.key").read_text().strip()


def code_of(verification_id):
    """The code as the customer gets it: the message is handed over in the background, so ask until it is there."""
    for _ in range(50):
        with urllib.request.urlopen(f"{HTTP}/dev/outbox") as answer:
            for message in json.load(answer):
                if message["verification_id"] == verification_id:
                    return message["code"]
        time.sleep(0.1)
    raise TimeoutError("no message in the outbox")


def main():
    stub = VerificationServiceStub(grpc.insecure_channel(GRPC))
    key = [("authorization", f"Bearer {KEY}")]
    run = uuid.uuid4().hex  # a subject, an address and ids of its own for each run

    started = stub.StartVerification(
        s.StartVerificationRequest(
            subject=f"customer-{run}",
            action="payment",
            request_id=f"start-{run}",
            binding={"amount": "100.00 EUR", "payee": "ACME"},
            recipients=[v.Recipient(channel=v.CHANNEL_EMAIL, address=f"{run}@example.org")],
        ),
        metadata=key,
        timeout=5,
    ).verification
    print("started", started.verification_id)

    checked = stub.CheckCode(
        s.CheckCodeRequest(
            verification_id=started.verification_id,
            code=code_of(started.verification_id),
            entry_mode=v.ENTRY_MODE_PORTAL,
            attempt_id=f"check-{run}",
        ),
        metadata=key,
        timeout=5,
    )
    print(s.Verdict.Name(checked.verdict).removeprefix("VERDICT_"))


if __name__ == "__main__":
    main()
