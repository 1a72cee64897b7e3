// A connection to bursar, and what its errors say.

import { readFileSync } from "node:fs";

import * as grpc from "@grpc/grpc-js";
import * as loader from "@grpc/proto-loader";

import type { ProtoGrpcType as Customer } from "./gen/customer_service.js";
import type { ProtoGrpcType as Entitlement } from "./gen/entitlement_service.js";
import type { ProtoGrpcType as Metering } from "./gen/metering_service.js";
import type { Status__Output } from "./gen/google/rpc/Status.js";

const examples = new URL("../../", import.meta.url).pathname;
const definition = loader.loadSync(
  ["customer", "entitlement", "metering"].map((name) => `bursar/v1/${name}_service.proto`),
  { includeDirs: [`${examples}../proto`], longs: String, enums: String, defaults: true, oneofs: true },
);
const { bursar } = grpc.loadPackageDefinition(definition) as unknown as Customer & Entitlement & Metering;

// The two fields of google.rpc.ErrorInfo that are read here.
const fields = { reason: { type: "string", id: 1 }, domain: { type: "string", id: 2 } };
const info = loader.fromJSON({ nested: { ErrorInfo: { fields } } })["ErrorInfo"];

// Timeouts and retries are in the service config; waiting for a connection this library takes from the metadata.
const options = {
  "grpc.service_config": readFileSync(`${examples}service_config.json`, "utf8"),
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.keepalive_permit_without_calls": 1,
};
export const waiting = () => new grpc.Metadata({ waitForReady: true });

export function connect(address: string) {
  const credentials = grpc.credentials.createInsecure();
  const channelOverride = new grpc.Channel(address, credentials, options);
  return {
    customers: new bursar.v1.CustomerService(address, credentials, { channelOverride }),
    entitlements: new bursar.v1.EntitlementService(address, credentials, { channelOverride }),
    metering: new bursar.v1.MeteringService(address, credentials, { channelOverride }),
    close: () => channelOverride.close(),
  };
}

type Callback<Answer> = grpc.requestCallback<Answer>;
type Unary<Request, Answer> = (request: Request, callback: Callback<Answer>) => unknown;
type Waiting<Request, Answer> = (request: Request, metadata: grpc.Metadata, callback: Callback<Answer>) => unknown;

// Makes a promise of a call with a callback.
export function call<Request, Answer>(client: grpc.Client, method: Unary<Request, Answer>, request: Request) {
  return new Promise<Answer>((resolve, reject) => {
    const answered: Callback<Answer> = (error, answer) => (error ? reject(error) : resolve(answer!));
    (method as unknown as Waiting<Request, Answer>).call(client, request, waiting(), answered);
  });
}

// The machine-readable reason of a google.rpc.Status.
export function reason(status: Status__Output | null): string {
  const detail = status?.details.find((one) => one.type_url.endsWith("/google.rpc.ErrorInfo"));
  return detail ? decode<{ reason: string }>(info, detail.value as Buffer).reason : "";
}

// The google.rpc.Status that an error of a call carries.
export function statusOf(error: grpc.ServiceError): Status__Output | null {
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  return bytes ? decode<Status__Output>(definition["google.rpc.Status"], bytes as Buffer) : null;
}

function decode<Message>(type: loader.PackageDefinition[string], bytes: Buffer): Message {
  return (type as loader.MessageTypeDefinition<object, object>).deserialize(bytes) as Message;
}
