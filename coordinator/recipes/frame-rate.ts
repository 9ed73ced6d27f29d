/** Frame rates as people write them, made exact fractions. */
import { quote } from './recipe.ts';

export interface FrameRate {
  readonly rateNum: number;
  readonly rateDen: number;
}

const MAX_RATE = 1000;
const MAX_TERM = 1_000_000;

/** Television's rates, by the decimals that people write for them: none of these is the rate. */
const TELEVISION: ReadonlyMap<string, string> = new Map([
  ['23.97', '24000/1001'],
  ['23.976', '24000/1001'],
  ['23.98', '24000/1001'],
  ['29.97', '30000/1001'],
  ['47.95', '48000/1001'],
  ['59.94', '60000/1001'],
  ['119.88', '120000/1001'],
]);

/** `25`, `12.5` or `30000/1001`. Undefined for nothing; a string says what is wrong with it, in one line. */
export function frameRateOf(text: string): FrameRate | string | undefined {
  if (text === '') return undefined;
  const exact = TELEVISION.get(text);
  if (exact !== undefined) return `fps ${text} is not exact: use ${exact}`;
  const fraction = /^(\d{1,7})(?:\/(\d{1,7}))?$/.exec(text);
  const decimal = /^(\d{1,4})\.(\d{1,3})$/.exec(text);
  const [num, den] =
    decimal === null
      ? [Number(fraction?.[1] ?? 0), Number(fraction?.[2] ?? 1)]
      : [Number(decimal[1]! + decimal[2]!), 10 ** decimal[2]!.length];
  if (num === 0 || den === 0) {
    return `fps ${quote(text)} is no frame rate: use a number or a fraction such as 25 or 30000/1001`;
  }
  const common = divisor(num, den);
  const [rateNum, rateDen] = [num / common, den / common];
  if (rateNum > MAX_TERM || rateDen > MAX_TERM || rateNum > rateDen * MAX_RATE) {
    return `fps ${text} is out of range: use up to ${MAX_RATE}`;
  }
  return { rateNum, rateDen };
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
