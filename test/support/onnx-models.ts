/**
 * Makes small ONNX models for tests, with a writer of protobuf's wire format and nothing else: each does one
 * thing whose result can be computed by hand, or fails in one known way.
 */

/** Numbers of the wire's types. */
const VARINT = 0;
const BYTES = 2;
const FLOAT = 5;
/** onnx.TensorProto.DataType */
const F32 = 1;
const I64 = 7;
const BOOL = 9;
/** onnx.AttributeProto.AttributeType */
const ATTRIBUTE = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const;

type Dim = number | string;
/** A graph is its bytes. */
type Attribute = number | string | Buffer | readonly number[] | { readonly float: number };

interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

interface Constant {
  readonly name: string;
  readonly dims: readonly number[];
  readonly values: readonly number[];
  readonly type?: 'float' | 'int64';
}

export interface MadeModel {
  readonly input?: readonly Dim[];
  readonly output?: readonly Dim[];
  readonly nodes: readonly Node[];
  readonly constants?: readonly Constant[];
}

const PICTURE: readonly Dim[] = [1, 3, 'h', 'w'];

/** A model's file: one input `x`, one output `y`. */
function onnxModel({ input = PICTURE, output, nodes, constants = [] }: MadeModel): Buffer {
  const graph = [
    ...nodes.map((node) => bytes(1, nodeOf(node))),
    bytes(2, Buffer.from('made')),
    ...constants.map((constant) => bytes(5, tensorOf(constant))),
    bytes(11, valueOf('x', input)),
    bytes(12, valueOf('y', output ?? [1, 3, 'h2', 'w2'])),
  ];
  const opset = varintField(2, 17);
  return Buffer.concat([varintField(1, 8), bytes(7, Buffer.concat(graph)), bytes(8, opset)]);
}

/** Each pixel becomes so many by so many of its colour. No halo. */
export function nearestModel(scale: number, input: readonly Dim[] = PICTURE): Buffer {
  return onnxModel({ input, nodes: nearest('x', 'y'), constants: scalesOf(scale) });
}

/** A blur of 5 by 5 that crosses channels, and then `nearestModel`: halo 2, and zeros beyond the edges. */
export function blurModel(scale: number): Buffer {
  const weights = Array.from({ length: 3 * 3 * 25 }, (_, i) => ((i * 37) % 23) / 900);
  return onnxModel({
    nodes: [
      { op: 'Conv', inputs: ['x', 'w'], output: 'blurred', attributes: { pads: [2, 2, 2, 2] } },
      ...nearest('blurred', 'y'),
    ],
    constants: [{ name: 'w', dims: [3, 3, 5, 5], values: weights }, ...scalesOf(scale)],
  });
}

/** Makes a picture between two: a blend by the time. One input of seven channels: both, and a plane of the time. */
export function blendModel(): Buffer {
  const channels = (name: string, from: number, until: number): Constant[] => [
    { name: `${name}-from`, dims: [1], values: [from], type: 'int64' },
    { name: `${name}-until`, dims: [1], values: [until], type: 'int64' },
  ];
  const part = (name: string): Node => {
    const inputs = ['x', `${name}-from`, `${name}-until`, 'axis'];
    return { op: 'Slice', inputs, output: name };
  };
  return onnxModel({
    input: [1, 7, 'h', 'w'],
    output: [1, 3, 'h', 'w'],
    nodes: [
      ...['a', 'b', 't'].map(part),
      { op: 'Sub', inputs: ['b', 'a'], output: 'way' },
      { op: 'Mul', inputs: ['way', 't'], output: 'done' },
      { op: 'Add', inputs: ['a', 'done'], output: 'y' },
    ],
    constants: [
      ...channels('a', 0, 3),
      ...channels('b', 3, 6),
      ...channels('t', 6, 7),
      { name: 'axis', dims: [1], values: [1], type: 'int64' },
    ],
  });
}

/** Takes so many floats for each pixel beyond the picture, as models of many channels do. */
export function hungryModel(scale: number, floatsAPixel: number): Buffer {
  const channels = Math.max(3, floatsAPixel);
  const spread = Array.from({ length: channels * 3 }, (_, i) => (i % 4 === 0 ? 1 : 0.001));
  const gather = Array.from({ length: 3 * channels }, (_, i) => {
    const [to, from] = [Math.floor(i / channels), i % channels];
    return to === from ? 1 : 0;
  });
  return onnxModel({
    nodes: [
      { op: 'Conv', inputs: ['x', 'spread'], output: 'many' },
      // Twice, so that two such planes are there at once.
      { op: 'Sigmoid', inputs: ['many'], output: 'bent' },
      { op: 'Conv', inputs: ['bent', 'gather'], output: 'few' },
      ...nearest('few', 'y'),
    ],
    constants: [
      { name: 'spread', dims: [channels, 3, 1, 1], values: spread },
      { name: 'gather', dims: [3, channels, 1, 1], values: gather },
      ...scalesOf(scale),
    ],
  });
}

/** As long a chain of convolutions as upscaling models are; halo 18 is more than enough for 12 of them. */
export function deepModel(scale: number, channels: number, layers: number): Buffer {
  const nodes: Node[] = [];
  const constants: Constant[] = scalesOf(scale);
  let from = 'x';
  let depth = 3;
  for (let layer = 0; layer <= layers; layer += 1) {
    const to = layer === layers ? 3 : channels;
    const values = Array.from(
      { length: to * depth * 9 },
      (_, i) => (((i * 31) % 17) - 6) / (depth * 40),
    );
    constants.push({ name: `w${layer}`, dims: [to, depth, 3, 3], values });
    const attributes = { pads: [1, 1, 1, 1] };
    nodes.push({ op: 'Conv', inputs: [from, `w${layer}`], output: `c${layer}`, attributes });
    nodes.push({ op: 'Sigmoid', inputs: [`c${layer}`], output: `s${layer}` });
    from = `s${layer}`;
    depth = to;
  }
  // The picture itself, with a little of what the chain made of it.
  constants.push({ name: 'little', dims: [1], values: [0.01] });
  nodes.push({ op: 'Mul', inputs: [from, 'little'], output: 'detail' });
  nodes.push({ op: 'Add', inputs: ['x', 'detail'], output: 'sum' });
  return onnxModel({ nodes: [...nodes, ...nearest('sum', 'y')], constants });
}

/** As `nearestModel`, but all values are no numbers. */
export function nanModel(scale: number): Buffer {
  return onnxModel({
    nodes: [
      { op: 'Sub', inputs: ['x', 'x'], output: 'zero' },
      { op: 'Div', inputs: ['zero', 'zero'], output: 'nan' },
      ...nearest('nan', 'y'),
    ],
    constants: scalesOf(scale),
  });
}

/** As `nearestModel`, but black. */
export function blankModel(scale: number): Buffer {
  return onnxModel({
    nodes: [{ op: 'Sub', inputs: ['x', 'x'], output: 'zero' }, ...nearest('zero', 'y')],
    constants: scalesOf(scale),
  });
}

/** As `nearestModel`, but light is dark and dark is light. */
export function negativeModel(scale: number): Buffer {
  return onnxModel({
    nodes: [{ op: 'Sub', inputs: ['one', 'x'], output: 'negative' }, ...nearest('negative', 'y')],
    constants: [{ name: 'one', dims: [1], values: [1] }, ...scalesOf(scale)],
  });
}

/** Fails when it runs: it reshapes to a size that the picture does not have. */
export function failingModel(): Buffer {
  return onnxModel({
    nodes: [{ op: 'Reshape', inputs: ['x', 'shape'], output: 'y' }],
    constants: [{ name: 'shape', dims: [4], values: [1, 3, 7, 11], type: 'int64' }],
  });
}

/** On its way it holds the picture so many times as wide and high; with 1,200, a small one takes 100 GB. */
export function hugeModel(scale: number, times: number): Buffer {
  const back = scale / times;
  return onnxModel({
    nodes: [
      ...nearest('x', 'huge'),
      { op: 'Resize', inputs: ['huge', '', 'back'], output: 'y', attributes: NEAREST },
    ],
    constants: [...scalesOf(times), { name: 'back', dims: [4], values: [1, 1, back, back] }],
  });
}

/** As `nearestModel`, once it has gone round more often than anybody can wait for. */
export function endlessModel(scale: number): Buffer {
  const scalar = (name: string, type: number): Buffer => {
    return Buffer.concat([bytes(1, Buffer.from(name)), bytes(2, bytes(1, scalarOf(type)))]);
  };
  const body = Buffer.concat([
    bytes(1, nodeOf({ op: 'Identity', inputs: ['goes'], output: 'goes-on' })),
    bytes(1, nodeOf({ op: 'Sigmoid', inputs: ['in'], output: 'out' })),
    bytes(2, Buffer.from('body')),
    bytes(11, scalar('round', I64)),
    bytes(11, scalar('goes', BOOL)),
    bytes(11, valueOf('in', PICTURE)),
    bytes(12, scalar('goes-on', BOOL)),
    bytes(12, valueOf('out', PICTURE)),
  ]);
  return onnxModel({
    nodes: [
      { op: 'Loop', inputs: ['rounds', '', 'x'], output: 'last', attributes: { body } },
      ...nearest('last', 'y'),
    ],
    constants: [
      { name: 'rounds', dims: [1], values: [2 ** 52], type: 'int64' },
      ...scalesOf(scale),
    ],
  });
}

/** A tensor without dimensions. */
function scalarOf(type: number): Buffer {
  return Buffer.concat([varintField(1, type), bytes(2, Buffer.alloc(0))]);
}

const NEAREST = {
  mode: 'nearest',
  coordinate_transformation_mode: 'asymmetric',
  nearest_mode: 'floor',
};

function nearest(from: string, to: string): Node[] {
  return [{ op: 'Resize', inputs: [from, '', 'scales'], output: to, attributes: NEAREST }];
}

function scalesOf(scale: number): Constant[] {
  return [{ name: 'scales', dims: [4], values: [1, 1, scale, scale] }];
}

function nodeOf({ op, inputs, output, attributes = {} }: Node): Buffer {
  return Buffer.concat([
    ...inputs.map((name) => bytes(1, Buffer.from(name))),
    bytes(2, Buffer.from(output)),
    bytes(4, Buffer.from(op)),
    ...Object.entries(attributes).map(([name, value]) => bytes(5, attributeOf(name, value))),
  ]);
}

function attributeOf(name: string, value: Attribute): Buffer {
  const head = bytes(1, Buffer.from(name));
  const typed = (type: number, field: Buffer): Buffer =>
    Buffer.concat([head, field, varintField(20, type)]);
  if (typeof value === 'number') return typed(ATTRIBUTE.int, varintField(3, value));
  if (typeof value === 'string') return typed(ATTRIBUTE.string, bytes(4, Buffer.from(value)));
  if (Buffer.isBuffer(value)) return typed(ATTRIBUTE.graph, bytes(6, value));
  if ('float' in value) return typed(ATTRIBUTE.float, floatField(2, value.float));
  const ints = Buffer.concat(value.map((item) => varintField(8, item)));
  return typed(ATTRIBUTE.ints, ints);
}

function tensorOf({ name, dims, values, type = 'float' }: Constant): Buffer {
  const raw =
    type === 'float'
      ? Buffer.from(Float32Array.from(values).buffer)
      : Buffer.from(BigInt64Array.from(values, (value) => BigInt(value)).buffer);
  return Buffer.concat([
    ...dims.map((dim) => varintField(1, dim)),
    varintField(2, type === 'float' ? F32 : I64),
    bytes(8, Buffer.from(name)),
    bytes(9, raw),
  ]);
}

function valueOf(name: string, dims: readonly Dim[]): Buffer {
  const shape = Buffer.concat(
    dims.map((dim) =>
      bytes(1, typeof dim === 'number' ? varintField(1, dim) : bytes(2, Buffer.from(dim))),
    ),
  );
  const tensor = Buffer.concat([varintField(1, F32), bytes(2, shape)]);
  return Buffer.concat([bytes(1, Buffer.from(name)), bytes(2, bytes(1, tensor))]);
}

function bytes(field: number, content: Buffer): Buffer {
  return Buffer.concat([varint(field * 8 + BYTES), varint(content.length), content]);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([varint(field * 8 + VARINT), varint(value)]);
}

function floatField(field: number, value: number): Buffer {
  const content = Buffer.alloc(4);
  content.writeFloatLE(value);
  return Buffer.concat([varint(field * 8 + FLOAT), content]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
  return Buffer.from(out);
}
