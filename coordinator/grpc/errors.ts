/** The one way from a thrown error to a gRPC status: code by the table, reason in ErrorInfo. */
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { encodeErrorDetails, ERROR_DETAILS_KEY, GRPC_STATUS } from '../../kit/error-details.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';

/** What was thrown, as a FurrowError; strangers become `internal`. */
export function asFurrowError(thrown: unknown): FurrowError {
  if (thrown instanceof FurrowError) return thrown;
  return new FurrowError('internal', 'INTERNAL', messageOf(thrown), { cause: thrown });
}

export function statusOf(error: FurrowError): StatusObject {
  const metadata = new Metadata();
  metadata.set(ERROR_DETAILS_KEY, encodeErrorDetails(error));
  // grpc-js cannot send half of a surrogate pair, and would end the process over it.
  const details = Buffer.from(error.message).toString();
  return { code: GRPC_STATUS[error.code], details, metadata };
}
