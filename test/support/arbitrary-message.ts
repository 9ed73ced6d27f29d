/**
 * Any message of a protobuf type, as bytes: of the right shape, with whatever values. Read from the .proto
 * files, so that new fields are fuzzed without a word here.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { loadSync } from '@grpc/proto-loader';
import * as fc from 'fast-check';

interface Field {
  readonly number: number;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}

interface Descriptor {
  readonly field: readonly Field[];
}

const FILES = ['job_service', 'agent_service', 'farm_service', 'blob_service', 'model_service'];
const definitions = loadSync(
  [...FILES.map((name) => `furrow/v1/${name}.proto`), 'furrow/work/v1/work.proto'],
  { includeDirs: ['proto'], keepCase: true },
) as unknown as Readonly<Record<string, { readonly type?: Descriptor }>>;

const MOST_DEPTH = 5;

/** What the services know how to read, beside what they do not. */
const texts = fc.oneof(
  fc.constantFrom(
    '',
    'j1',
    'j2',
    'j1/step/0',
    'step',
    'agent-1',
    'session-1',
    '*',
    'mon 1:00-2:00',
  ),
  fc.constantFrom('0'.repeat(64), '__proto__', 'constructor', '..', '../../etc', 'a/b', 'j0', '-1'),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.nat({ max: 5_000 }).map((length) => 'x'.repeat(length)),
  fc.nat({ max: 300 }).map((length) => '\u{1f600}'.repeat(length)),
);

const EDGES = [0, 1, 2, 7, 255, 65_535, 65_536, 1_000_000, 2 ** 31 - 1];
const small = fc.oneof(fc.constantFrom(...EDGES), fc.nat({ max: 100 }));
const uint32 = fc.oneof(small, fc.constant(2 ** 32 - 1));
const int32 = fc.oneof(
  small,
  small.map((value) => -value),
  fc.constant(-(2 ** 31)),
);
const uint64 = fc.oneof(
  uint32.map(BigInt),
  fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
);
const int64 = fc.oneof(int32.map(BigInt), fc.constantFrom(2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)));
const doubles = fc.oneof(
  fc.double(),
  fc.constantFrom(0, -0, Infinity, -Infinity, Number.NaN, 1e308),
);

type Write = (writer: BinaryWriter) => void;

/** `type`: such as furrow.v1.SubmitJobRequest. */
export function arbitraryMessage(type: string, depth = 0): fc.Arbitrary<Uint8Array> {
  const descriptor = definitions[type]?.type;
  if (descriptor === undefined || depth > MOST_DEPTH) return fc.constant(new Uint8Array());
  const fields = descriptor.field.map((field) => arbitraryField(type, field, depth));
  return fc.tuple(...fields).map((writes) => {
    const writer = new BinaryWriter();
    for (const write of writes) write(writer);
    return writer.finish();
  });
}

function arbitraryField(type: string, field: Field, depth: number): fc.Arbitrary<Write> {
  const one = arbitraryValue(type, field, depth);
  const isList = field.label === 'LABEL_REPEATED';
  const values = fc.array(one, { maxLength: isList ? 3 : 1 });
  return values.map((writes) => (writer) => writes.forEach((write) => write(writer)));
}

function arbitraryValue(
  type: string,
  { number, type: kind, typeName }: Field,
  depth: number,
): fc.Arbitrary<Write> {
  const tag = (writer: BinaryWriter, wire: number): BinaryWriter =>
    writer.uint32((number << 3) | wire);
  switch (kind) {
    case 'TYPE_STRING':
      return texts.map((value) => (writer) => tag(writer, 2).string(Buffer.from(value).toString()));
    case 'TYPE_BYTES':
      return fc.uint8Array({ maxLength: 70 }).map((value) => (writer) => {
        tag(writer, 2).bytes(value);
      });
    case 'TYPE_MESSAGE':
      return arbitraryMessage(resolved(type, typeName), depth + 1).map((value) => (writer) => {
        tag(writer, 2).bytes(value);
      });
    case 'TYPE_DOUBLE':
      return doubles.map((value) => (writer) => tag(writer, 1).double(value));
    case 'TYPE_FLOAT':
      return fc.float().map((value) => (writer) => tag(writer, 5).float(value));
    case 'TYPE_INT64':
      return int64.map((value) => (writer) => tag(writer, 0).int64(value));
    case 'TYPE_UINT64':
      return uint64.map((value) => (writer) => tag(writer, 0).uint64(value));
    case 'TYPE_INT32':
    case 'TYPE_ENUM':
      return int32.map((value) => (writer) => tag(writer, 0).int32(value));
    case 'TYPE_SINT32':
      return int32.map((value) => (writer) => tag(writer, 0).sint32(value));
    default:
      return uint32.map((value) => (writer) => tag(writer, 0).uint32(value));
  }
}

/** Names are told as they stand in the file: within the message, its package, or whole. */
function resolved(from: string, name: string): string {
  const bare = name.replace(/^\./, '');
  const scopes = from.split('.');
  while (scopes.length > 0) {
    const whole = [...scopes, bare].join('.');
    if (whole in definitions) return whole;
    scopes.pop();
  }
  return bare;
}
