/** What commands that work long on a film take, so that a proxy of it is made first. */
import type { WithProxy } from '../proto/gen/furrow/v1/recipe_proxy.ts';
import type { OptionSpec } from './command.ts';
import { bytes, integerIn } from './options.ts';

export interface ProxyOptions {
  readonly withProxy?: number | true;
  readonly proxyFormat?: string;
  readonly proxySide?: number;
}

export const PROXY_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--with-proxy [over-size]',
    help: 'make a proxy to edit with first, of a film larger than this, such as 2GiB (default: of any)',
    parse: bytes,
  },
  {
    flags: '--proxy-format <name>',
    help: 'h264, h264-intra, prores, dnxhr or mjpeg (default: h264)',
  },
  {
    flags: '--proxy-side <pixels>',
    help: "most pixels of the proxy's longer side (default: 960)",
    parse: integerIn(64, 8192),
  },
];

/** Undefined where none is wanted. */
export function withProxy({
  withProxy: over,
  proxyFormat,
  proxySide,
}: ProxyOptions): WithProxy | undefined {
  if (over === undefined && proxyFormat === undefined && proxySide === undefined) return undefined;
  return {
    overBytes: typeof over === 'number' ? over : 0,
    format: proxyFormat ?? '',
    longestSide: proxySide ?? 0,
  };
}
