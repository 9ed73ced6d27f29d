/**
 * What a gRPC error says beside its status: a google.rpc.Status with one ErrorInfo, carried in the
 * metadata entry `grpc-status-details-bin`. Here too is the one table between error codes and gRPC
 * statuses, so that server and client cannot disagree.
 *
 * Written by hand on protobuf's wire reader: the two messages have never changed, and the generated
 * ones would bring google's whole error_details along.
 */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { ErrorCode, FurrowError } from './furrow-error.ts';

/** Name of the metadata entry. */
export const ERROR_DETAILS_KEY = 'grpc-status-details-bin';

const ERROR_INFO_TYPE = 'type.googleapis.com/google.rpc.ErrorInfo';
const DOMAIN = 'furrow';

/** Every code's gRPC status number. */
export const GRPC_STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 3, // INVALID_ARGUMENT
  'not-found': 5, // NOT_FOUND
  conflict: 6, // ALREADY_EXISTS
  'failed-precondition': 9, // FAILED_PRECONDITION
  exhausted: 8, // RESOURCE_EXHAUSTED
  unauthenticated: 16, // UNAUTHENTICATED
  forbidden: 7, // PERMISSION_DENIED
  unavailable: 14, // UNAVAILABLE
  'timed-out': 4, // DEADLINE_EXCEEDED
  aborted: 1, // CANCELLED
  'data-loss': 15, // DATA_LOSS
  internal: 13, // INTERNAL
};

const CODE_OF_STATUS = new Map(
  Object.entries(GRPC_STATUS).map(([code, status]) => [status, code as ErrorCode]),
);

/** The code of a gRPC status number; `internal` for those that Furrow never sends. */
export function errorCodeOf(grpcStatus: number): ErrorCode {
  return CODE_OF_STATUS.get(grpcStatus) ?? 'internal';
}

/** A google.rpc.ErrorInfo. */
export interface ErrorInfo {
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The value of `grpc-status-details-bin` for an error. */
export function encodeErrorDetails(error: FurrowError): Buffer {
  const info = new BinaryWriter().uint32(10).string(error.reason).uint32(18).string(DOMAIN);
  for (const [key, value] of Object.entries(error.details)) {
    info.uint32(26).fork().uint32(10).string(key).uint32(18).string(value).join();
  }
  const any = new BinaryWriter().uint32(10).string(ERROR_INFO_TYPE).uint32(18).bytes(info.finish());
  return Buffer.from(
    new BinaryWriter()
      .uint32(8)
      .int32(GRPC_STATUS[error.code])
      .uint32(18)
      .string(error.message)
      .uint32(26)
      .bytes(any.finish())
      .finish(),
  );
}

/** The ErrorInfo in a `grpc-status-details-bin`; undefined when there is none that can be read. */
export function decodeErrorDetails(bytes: Uint8Array): ErrorInfo | undefined {
  try {
    for (const detail of fieldsOf(bytes, 3)) {
      const [type] = fieldsOf(detail, 1);
      const [value] = fieldsOf(detail, 2);
      if (type && value && textOf(type) === ERROR_INFO_TYPE) return readErrorInfo(value);
    }
  } catch {
    // Foreign or damaged bytes beside an error must not hide the error itself.
  }
  return undefined;
}

function readErrorInfo(bytes: Uint8Array): ErrorInfo {
  const metadata: Record<string, string> = {};
  for (const entry of fieldsOf(bytes, 3)) {
    metadata[textOf(fieldsOf(entry, 1)[0])] = textOf(fieldsOf(entry, 2)[0]);
  }
  return {
    reason: textOf(fieldsOf(bytes, 1)[0]),
    domain: textOf(fieldsOf(bytes, 2)[0]),
    metadata,
  };
}

/** All length-delimited values of one field of a message. */
function fieldsOf(message: Uint8Array, wanted: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(wireType, field);
  }
  return found;
}

function textOf(bytes: Uint8Array | undefined): string {
  return bytes ? new TextDecoder().decode(bytes) : '';
}
