/** How many bits each value of a picture has, by ffmpeg's name of its format. */

/** Those whose name does not end in the number. */
const OTHERS: Readonly<Record<string, number>> = {
  rgb48: 16,
  bgr48: 16,
  rgba64: 16,
  bgra64: 16,
  ayuv64: 16,
  nv20: 10,
  xv30: 10,
  xv36: 12,
};

export function bitsOf(pixelFormat: string): number {
  const name = pixelFormat.replace(/(le|be)$/, '');
  const other = OTHERS[name];
  if (other !== undefined) return other;
  const semiPlanar = /^p[024](10|12|16)$/.exec(name)?.[1];
  if (semiPlanar !== undefined) return Number(semiPlanar);
  // Without a byte order a number is of something else: yuv410p, nv16.
  const bits = name === pixelFormat ? undefined : /(9|10|12|14|16|f32)$/.exec(name)?.[1];
  return bits === undefined ? 8 : Number(bits.replace('f', ''));
}

/** More than the eight that most films have. */
export function isDeep(pixelFormat: string): boolean {
  return bitsOf(pixelFormat) > 8;
}
