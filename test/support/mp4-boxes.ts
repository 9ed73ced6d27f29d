/** Surgery on MP4 files: finds boxes by path and gives them other contents, sizes mended all the way up. */

/** Boxes that hold boxes, and how many bytes come before those. */
const HEADS: Readonly<Record<string, number>> = { dref: 8, stsd: 8 };

interface Box {
  readonly type: string;
  /** With its header of 8 bytes. */
  readonly start: number;
  readonly end: number;
}

function boxesIn(file: Buffer, from: number, to: number): Box[] {
  const boxes: Box[] = [];
  for (let at = from; at + 8 <= to;) {
    const end = at + Math.max(8, file.readUInt32BE(at));
    boxes.push({ type: file.toString('latin1', at + 4, at + 8), start: at, end });
    at = end;
  }
  return boxes;
}

/** What is inside, after the 8 bytes of the header; a view into the file. `moov/trak/mdia/mdhd`. */
export function contentOf(file: Buffer, path: string): Buffer {
  let [from, to] = [0, file.length];
  for (const type of path.split('/')) {
    const box = boxesIn(file, from, to).find((one) => one.type === type);
    if (box === undefined) throw new Error(`there is no ${path}`);
    [from, to] = [box.start + 8 + (HEADS[type] ?? 0), box.end];
  }
  const last = path.split('/').at(-1)!;
  return file.subarray(from - (HEADS[last] ?? 0), to);
}

/**
 * The file with another content in the first box of that path. Its samples must lie before it, as they
 * do where the index is at the end.
 */
export function withContent(file: Buffer, path: string, content: Buffer): Buffer {
  const [first, ...rest] = path.split('/');
  const box = boxesIn(file, 0, file.length).find((one) => one.type === first);
  if (box === undefined) throw new Error(`there is no ${path}`);
  const head = HEADS[first!] ?? 0;
  const old = file.subarray(box.start + 8 + head, box.end);
  const inner = rest.length === 0 ? content : withContent(old, rest.join('/'), content);
  const kept =
    rest.length === 0 ? Buffer.alloc(0) : file.subarray(box.start + 8, box.start + 8 + head);
  return Buffer.concat([
    file.subarray(0, box.start),
    boxOf(first!, Buffer.concat([kept, inner])),
    file.subarray(box.end),
  ]);
}

export function boxOf(type: string, content: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(content.length + 8, 0);
  header.write(type, 4, 'latin1');
  return Buffer.concat([header, content]);
}
