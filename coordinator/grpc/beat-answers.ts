/**
 * Answers to beats as bytes. Most say nothing new: they differ from the one before in the number of their
 * beat alone, so all else is encoded once.
 */
import { AdvertiseResponse } from '../../proto/gen/furrow/v1/agent_service.ts';

/** Field 3, `beat`, as a varint. */
const BEAT_TAG = (3 << 3) | 0;
/** A varint of 53 bits, and the tag. */
const MOST_BEAT_BYTES = 9;

export class BeatAnswers {
  /** An answer without its beat, and its encoding. */
  #last: { readonly answer: AdvertiseResponse; readonly bytes: Uint8Array } | undefined;

  encode(response: AdvertiseResponse): Buffer {
    if (saysMore(response)) {
      return Buffer.from(AdvertiseResponse.encode(response).finish());
    }
    if (this.#last === undefined || !isEqualButForBeat(this.#last.answer, response)) {
      const answer = { ...response, beat: 0 };
      this.#last = { answer, bytes: AdvertiseResponse.encode(answer).finish() };
    }
    return withBeat(this.#last.bytes, response.beat);
  }
}

/** Something for this agent alone. */
function saysMore({ stop, retract, policy, probeAgain, natsJwt }: AdvertiseResponse): boolean {
  const isOrder = stop.length + retract.length > 0;
  return isOrder || policy !== undefined || probeAgain === true || natsJwt !== undefined;
}

/** Of two answers without orders, a policy or credentials. */
function isEqualButForBeat(a: AdvertiseResponse, b: AdvertiseResponse): boolean {
  return (
    a.farmId === b.farmId &&
    a.epoch === b.epoch &&
    a.releasedGrant === b.releasedGrant &&
    a.drain === b.drain &&
    a.leaseTtlMs === b.leaseTtlMs &&
    a.place?.farmId === b.place?.farmId &&
    a.place?.epoch === b.place?.epoch &&
    a.place?.reignId === b.place?.reignId &&
    a.place?.sequence === b.place?.sequence
  );
}

/** Fields of a message may stand in any order. */
function withBeat(rest: Uint8Array, beat: number): Buffer {
  const bytes = Buffer.allocUnsafe(rest.length + MOST_BEAT_BYTES);
  bytes.set(rest);
  if (beat === 0) return bytes.subarray(0, rest.length);
  let end = rest.length;
  bytes[end++] = BEAT_TAG;
  for (let left = beat; ; left = Math.floor(left / 128)) {
    const isLast = left < 128;
    bytes[end++] = (left % 128) | (isLast ? 0 : 128);
    if (isLast) return bytes.subarray(0, end);
  }
}
