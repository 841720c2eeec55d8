// A first approval: starts a verification, reads its code from the development outbox, checks the code.
// Needs Node.js 20 or newer and a development server (cargo run --release). From the root of the repository:
//   npm install --prefix examples/typescript && npm start --prefix examples/typescript
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { credentials, loadPackageDefinition, Metadata } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { ProtoGrpcType } from "./gen/verification_service.ts";
import type { CheckCodeRequest } from "./gen/countersign/v1/CheckCodeRequest.ts";
import type { CheckCodeResponse__Output } from "./gen/countersign/v1/CheckCodeResponse.ts";
import type { StartVerificationRequest } from "./gen/countersign/v1/StartVerificationRequest.ts";
import type { StartVerificationResponse__Output } from "./gen/countersign/v1/StartVerificationResponse.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const grpc = process.env.COUNTERSIGN_GRPC ?? "127.0.0.1:50051";
const http = process.env.COUNTERSIGN_HTTP ?? "http://127.0.0.1:8080";
const key = process.env.COUNTERSIGN_KEY ?? readFileSync(`${root}countersign-data/development.key`, "utf8").trim();

const options = { includeDirs: [`${root}proto`], longs: String, enums: String };
const definition = loadSync("countersign/v1/verification_service.proto", options);
const { countersign } = loadPackageDefinition(definition) as unknown as ProtoGrpcType;
const client = new countersign.v1.VerificationService(grpc, credentials.createInsecure());

const metadata = new Metadata();
metadata.set("authorization", `Bearer ${key}`);
type Unary<I, O> = (input: I, metadata: Metadata, options: { deadline: number }) => Promise<O | undefined>;
const start: Unary<StartVerificationRequest, StartVerificationResponse__Output> =
  promisify(client.StartVerification.bind(client));
const check: Unary<CheckCodeRequest, CheckCodeResponse__Output> = promisify(client.CheckCode.bind(client));
const deadline = () => ({ deadline: Date.now() + 5000 });

// The code as the customer gets it: the message is handed over in the background, so ask until it is there.
async function codeOf(verificationId: string): Promise<string> {
  for (let tries = 0; tries < 50; tries++) {
    const messages = (await (await fetch(`${http}/dev/outbox`)).json()) as { verification_id: string; code: string }[];
    const found = messages.find((message) => message.verification_id === verificationId);
    if (found) return found.code;
    await sleep(100);
  }
  throw new Error("no message in the outbox");
}

const run = randomUUID(); // a subject, an address and ids of its own for each run
const started = await start({
  subject: `customer-${run}`,
  action: "payment",
  requestId: `start-${run}`,
  binding: { amount: "100.00 EUR", payee: "ACME" },
  recipients: [{ channel: "CHANNEL_EMAIL", address: `${run}@example.org` }],
}, metadata, deadline());
const verificationId = started!.verification!.verificationId!;
console.log("started", verificationId);

const checked = await check({
  verificationId,
  code: await codeOf(verificationId),
  entryMode: "ENTRY_MODE_PORTAL",
  attemptId: `check-${run}`,
}, metadata, deadline());
console.log(checked?.verdict?.replace("VERDICT_", ""));
client.close();
