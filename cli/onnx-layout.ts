/**
 * Whether a file is laid out as an ONNX model: a protobuf message whose outermost fields reach exactly to its end, one
 * of them the graph. Nothing inside a field is read: what is in a model only agents look at.
 */
import type { FileHandle } from 'node:fs/promises';

export type OnnxLayout =
  | { readonly state: 'model' }
  /** It begins as one, and ends inside a field. */
  | { readonly state: 'cut-short' }
  | { readonly state: 'none' };

/** Of `ModelProto`. */
const GRAPH = 7;
const KNOWN_FIELDS: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, GRAPH, 8, 14, 20, 25, 26]);
const [VARINT, FIXED64, DELIMITED, FIXED32] = [0, 1, 2, 5] as const;
/** Models have a dozen, and one for each function. */
const MOST_FIELDS = 100_000;
/** A tag and a length, or a number. */
const FIELD_START_BYTES = 20;

export async function onnxLayout(file: FileHandle, sizeBytes: number): Promise<OnnxLayout> {
  const start = Buffer.alloc(FIELD_START_BYTES);
  let hasGraph = false;
  let at = 0;
  for (let fields = 0; at < sizeBytes; fields += 1) {
    const { bytesRead } = await file.read(start, 0, FIELD_START_BYTES, at);
    const field = fieldAt(start.subarray(0, bytesRead));
    if (field === undefined || fields > MOST_FIELDS) return { state: 'none' };
    if (field.number === GRAPH) hasGraph = true;
    at += field.bytes;
  }
  if (!hasGraph) return { state: 'none' };
  return { state: at === sizeBytes ? 'model' : 'cut-short' };
}

/** Its number and all of its bytes; undefined for what no field of a model begins with. */
function fieldAt(start: Buffer): { readonly number: number; readonly bytes: number } | undefined {
  const tag = varintAt(start, 0);
  if (tag === undefined) return undefined;
  const number = Math.floor(tag.value / 8);
  if (!KNOWN_FIELDS.has(number)) return undefined;
  switch (tag.value % 8) {
    case VARINT: {
      const value = varintAt(start, tag.end);
      return value === undefined ? undefined : { number, bytes: value.end };
    }
    case DELIMITED: {
      const length = varintAt(start, tag.end);
      return length === undefined ? undefined : { number, bytes: length.end + length.value };
    }
    case FIXED64:
      return { number, bytes: tag.end + 8 };
    case FIXED32:
      return { number, bytes: tag.end + 4 };
    default:
      return undefined;
  }
}

function varintAt(
  bytes: Buffer,
  from: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 10; i += 1) {
    const byte = bytes[from + i];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: from + i + 1 };
  }
  return undefined;
}
