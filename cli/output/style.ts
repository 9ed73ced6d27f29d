/** Colours and characters that a stream can show. */
import type { WriteStream } from 'node:tty';

type Paint = (text: string) => string;

export interface Style {
  readonly unicode: boolean;
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

export const PLAIN_STYLE: Style = styleWith(false, true);

/**
 * Colour on a terminal only, and not where NO_COLOR is set (to anything but nothing) or the terminal
 * is dumb. Block characters only where the locale says UTF-8.
 */
export function styleFor(
  stream: Pick<WriteStream, 'isTTY'> | { isTTY?: undefined },
  environment: NodeJS.ProcessEnv,
): Style {
  const colour =
    stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  return styleWith(colour, hasUtf8(environment));
}

function hasUtf8(environment: NodeJS.ProcessEnv): boolean {
  if (process.platform === 'win32' || process.platform === 'darwin') return true;
  const locale = environment['LC_ALL'] || environment['LC_CTYPE'] || environment['LANG'] || '';
  return /utf-?8/i.test(locale);
}

function styleWith(colour: boolean, unicode: boolean): Style {
  const sgr = (on: number, off: number) => (text: string) =>
    colour && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return {
    unicode,
    bold: sgr(1, 22),
    dim: sgr(2, 22),
    red: sgr(31, 39),
    green: sgr(32, 39),
    yellow: sgr(33, 39),
    cyan: sgr(36, 39),
  };
}
