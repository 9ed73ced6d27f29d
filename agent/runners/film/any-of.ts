/** So many in a row are read by every parser. */
const IN_A_ROW = 16;

/**
 * An expression of ffmpeg's that is true where one of the conditions is; at least one. Pure. Its parser gives up at
 * some hundred terms in a row ("Cannot allocate memory"), and takes any number of them in brackets.
 */
export function anyOf(conditions: readonly string[]): string {
  if (conditions.length <= IN_A_ROW) return `(${conditions.join('+')})`;
  const half = Math.ceil(conditions.length / 2);
  return `(${anyOf(conditions.slice(0, half))}+${anyOf(conditions.slice(half))})`;
}
