/** How players name a coding (RFC 6381), from the entry that describes its samples. Pure. */
import { boxesIn, type Box } from './boxes.ts';

/** `avc1.64001f`, `hvc1.1.6.L93.B0`, `mp4a.40.2`; undefined for others. */
export function codecString(moov: Buffer, entry: Box): string | undefined {
  const inside = (type: string, headBytes: number): Buffer | undefined => {
    const box = boxesIn(moov, entry.content + headBytes, entry.end).find(
      (one) => one.type === type,
    );
    return box && moov.subarray(box.content, box.end);
  };
  if (entry.type === 'avc1') {
    const config = inside('avcC', VIDEO_HEAD);
    return config && `avc1.${config.toString('hex', 1, 4)}`;
  }
  if (entry.type === 'hvc1') {
    const config = inside('hvcC', VIDEO_HEAD);
    return config && `hvc1.${hevcWords(config).join('.')}`;
  }
  if (entry.type !== 'mp4a') return undefined;
  const config = inside('esds', SOUND_HEAD);
  const type = config && aacType(config.subarray(4));
  return type === undefined ? undefined : `mp4a.40.${type}`;
}

/** Bytes of a sample entry before its boxes. */
const VIDEO_HEAD = 78;
const SOUND_HEAD = 28;

function hevcWords(config: Buffer): string[] {
  const profile = config[1]!;
  const space = ['', 'A', 'B', 'C'][profile >> 6]!;
  let compatible = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    if ((config[2 + (bit >> 3)]! & (0x80 >> (bit & 7))) !== 0) compatible += 2 ** bit;
  }
  const tier = (profile & 0x20) === 0 ? 'L' : 'H';
  const constraints = [...config.subarray(6, 12)];
  while (constraints.at(-1) === 0) constraints.pop();
  return [
    `${space}${profile & 0x1f}`,
    compatible.toString(16).toUpperCase(),
    `${tier}${config[12]}`,
    ...constraints.map((byte) => byte.toString(16).toUpperCase()),
  ];
}

/** The audio object type; undefined where it is not MPEG-4 audio. */
function aacType(descriptors: Buffer): number | undefined {
  let at = 0;
  const enter = (tag: number): boolean => {
    if (descriptors[at] !== tag) return false;
    at += 1;
    // A length of up to four bytes, seven bits each.
    while (((descriptors[at] ?? 0) & 0x80) !== 0) at += 1;
    at += 1;
    return true;
  };
  if (!enter(0x03)) return undefined;
  const flags = descriptors[at + 2] ?? 0;
  if ((flags & 0xe0) !== 0) return undefined;
  at += 3;
  if (!enter(0x04) || descriptors[at] !== 0x40) return undefined;
  at += 13;
  if (!enter(0x05)) return undefined;
  const [first = 0, second = 0] = descriptors.subarray(at);
  const type = first >> 3;
  return type === 31 ? 32 + ((first & 0x07) << 3) + (second >> 5) : type;
}
