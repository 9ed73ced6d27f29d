import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import {
  decodeErrorDetails,
  encodeErrorDetails,
  errorCodeOf,
  GRPC_STATUS,
} from '../../../kit/error-details.ts';
import { FurrowError, type ErrorCode } from '../../../kit/furrow-error.ts';

describe('error details', () => {
  test('carry reason, domain and metadata there and back', () => {
    const details = { job: 'j12', empty: '' };
    const error = new FurrowError('conflict', 'CLIENT_ID_REUSED', 'client id ä is taken', {
      details,
    });
    expect(decodeErrorDetails(encodeErrorDetails(error))).toEqual({
      reason: 'CLIENT_ID_REUSED',
      domain: 'furrow',
      metadata: details,
    });
  });

  test('are the bytes that other languages write', () => {
    // Put together by hand from the wire format: Status(5, 'gone', [Any(ErrorInfo('R', 'furrow'))]).
    const type = Buffer.from('type.googleapis.com/google.rpc.ErrorInfo');
    const info = Buffer.from('0a01521206667572726f77', 'hex');
    const any = Buffer.concat([
      Buffer.from([10, type.length]),
      type,
      Buffer.from([18, info.length]),
      info,
    ]);
    const wire = Buffer.concat([
      Buffer.from('08051204676f6e65', 'hex'),
      Buffer.from([26, any.length]),
      any,
    ]);
    expect(encodeErrorDetails(new FurrowError('not-found', 'R', 'gone'))).toEqual(wire);
  });

  test.each([
    ['nothing', ''],
    ['noise', 'ffffffffff'],
    ['a status without details', '0805'],
    ['a detail of another type', '1a060a0161120162'],
  ])('%s answers undefined', (_, hex) => {
    expect(decodeErrorDetails(Buffer.from(hex, 'hex'))).toBeUndefined();
  });

  test('every code has its own status, and comes back', () => {
    for (const [code, number] of Object.entries(GRPC_STATUS)) {
      expect(errorCodeOf(number)).toBe(code as ErrorCode);
      expect(status[number]).toBeDefined();
    }
    expect(GRPC_STATUS.exhausted).toBe(status.RESOURCE_EXHAUSTED);
    expect(GRPC_STATUS.unauthenticated).toBe(status.UNAUTHENTICATED);
    expect(errorCodeOf(status.UNIMPLEMENTED)).toBe('internal');
  });
});
