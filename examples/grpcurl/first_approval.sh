#!/usr/bin/env bash
# A first approval from the shell: starts a verification, reads its code from the development outbox, checks the code.
# Needs grpcurl, curl and jq, and a development server: cargo run --release
set -euo pipefail

GRPC=${COUNTERSIGN_GRPC:-127.0.0.1:50051}
HTTP=${COUNTERSIGN_HTTP:-http://127.0.0.1:8080}
KEY=${COUNTERSIGN_KEY:-$(cat countersign-data/development.key)}
# A subject, an address and ids of its own for each run.
RUN=sh-$(date +%s)-$$

call() {
    grpcurl -plaintext -H "authorization: Bearer $KEY" -d "$2" "$GRPC" "countersign.v1.VerificationService/$1"
}

ID=$(call StartVerification '{
  "subject": "customer-'"$RUN"'", "action": "payment", "request_id": "start-'"$RUN"'",
  "binding": {"amount": "100.00 EUR", "payee": "ACME"},
  "recipients": [{"channel": "CHANNEL_EMAIL", "address": "'"$RUN"'@example.org"}]
}' | jq -r .verification.verificationId)
echo "started $ID"

# The message is handed over in the background: ask until it is there, for five seconds at most.
CODE=
for _ in $(seq 50); do
    CODE=$(curl -fsS "$HTTP/dev/outbox" | jq -r --arg id "$ID" 'map(select(.verification_id == $id))[0].code // empty')
    [ -z "$CODE" ] || break
    sleep 0.1
done

call CheckCode '{
  "verification_id": "'"$ID"'", "code": "'"$CODE"'",
  "entry_mode": "ENTRY_MODE_PORTAL", "attempt_id": "check-'"$RUN"'"
}' | jq -r '.verdict | ltrimstr("VERDICT_")'
