/**
 * As much of an HTTP/2 client as thousands of simulated agents need, and no more: their own cost must not
 * stand in the way of what is measured, on the same cores. Frames are written by hand on a plain socket;
 * what comes is looked at for its kind and its stream alone. Headers are never decoded: an answer with data
 * is a good one.
 */
import { connect, type Socket } from 'node:net';

export interface ClientEvents {
  /** Data came on a stream. */
  data(stream: number): void;
  /** The server is done with a stream. */
  ended(stream: number): void;
  closed(): void;
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const HEADER_BYTES = 9;
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const SETTING_ENABLE_PUSH = 2;
const SETTING_INITIAL_WINDOW = 4;
const LARGEST_WINDOW = 2 ** 31 - 1;
const FIRST_WINDOW = 65_535;
const NOTHING = Buffer.alloc(0);

/** Said at once by every connection: nothing that it is sent will ever fill a window. */
const GREETING = Buffer.concat([
  Buffer.from(PREFACE),
  frame(
    SETTINGS,
    0,
    0,
    settings({ [SETTING_ENABLE_PUSH]: 0, [SETTING_INITIAL_WINDOW]: LARGEST_WINDOW }),
  ),
  frame(WINDOW_UPDATE, 0, 0, uint32(LARGEST_WINDOW - FIRST_WINDOW)),
]);

const PING_FRAME = frame(PING, 0, 0, Buffer.alloc(8));

/** All connections read into it, one after another. */
const READ_BUFFER = Buffer.alloc(64 * 1024);

export class BareHttp2Client {
  readonly #socket: Socket;
  readonly #events: ClientEvents;
  #nextStream = 1;
  /** Begin of a frame whose rest has not come yet. */
  #rest: Buffer = NOTHING;

  constructor(address: { readonly host: string; readonly port: number }, events: ClientEvents) {
    this.#events = events;
    this.#socket = connect({
      ...address,
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (bytes, buffer) => {
          this.#read(Buffer.from(buffer.buffer, buffer.byteOffset, bytes));
          return true;
        },
      },
    });
    this.#socket.on('error', () => {});
    this.#socket.once('close', () => events.closed());
    this.#socket.write(GREETING);
  }

  /** Opens a stream. `headers`: a block of `headerBlock`. */
  open(headers: Buffer): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    this.#socket.write(frame(HEADERS, END_HEADERS, stream, headers));
    return stream;
  }

  /** Sends one gRPC message. */
  send(stream: number, message: Uint8Array, isLast: boolean): void {
    const body = Buffer.allocUnsafe(5 + message.length);
    body.writeUInt8(0, 0);
    body.writeUInt32BE(message.length, 1);
    body.set(message, 5);
    this.#socket.write(frame(DATA, isLast ? END_STREAM : 0, stream, body));
  }

  ping(): void {
    this.#socket.write(PING_FRAME);
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#take(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
    // The buffer is read into again.
    this.#rest = bytes.length === 0 ? NOTHING : Buffer.from(bytes);
  }

  #take(whole: Buffer): void {
    const [type, flags] = [whole.readUInt8(3), whole.readUInt8(4)];
    const stream = whole.readUInt32BE(5);
    if (type === DATA && whole.length > HEADER_BYTES) this.#events.data(stream);
    if (type === SETTINGS && (flags & ACK) === 0)
      this.#socket.write(frame(SETTINGS, ACK, 0, NOTHING));
    if (type === PING && (flags & ACK) === 0) {
      this.#socket.write(frame(PING, ACK, 0, whole.subarray(HEADER_BYTES)));
    }
    const isLast = (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0;
    if (isLast || type === RST_STREAM) this.#events.ended(stream);
  }
}

/** Headers as HPACK has them, each written out. */
export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(headers).flatMap(([name, value]) => [
    Buffer.of(0),
    text(name),
    text(value),
  ]);
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  // A longer one has its length in several bytes.
  if (value.length > 126) throw new Error(`a header is too long to be written by hand: ${value}`);
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value, 'latin1')]);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, HEADER_BYTES);
  return bytes;
}

function settings(values: Readonly<Record<number, number>>): Buffer {
  return Buffer.concat(
    Object.entries(values).map(([setting, value]) =>
      Buffer.concat([Buffer.of(0, Number(setting)), uint32(value)]),
    ),
  );
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
