/** What commands take that may leave the choice of an encoder to the farm. */
import type { OptionSpec } from './command.ts';

export const ENCODER_HELP =
  'libx264, libx265, libsvtav1 or libvpx-vp9 (default: libx264); one of hardware: h264, hevc or av1 with _nvenc, _qsv, _vaapi, _amf or _videotoolbox; or auto, auto:h264, auto:hevc or auto:av1 for hardware where all agents have the same, else software';

export const FALLBACK_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--fallback',
    help: 'if the encoder of hardware fails, let one of software do the whole film (default: with auto)',
  },
  { flags: '--no-fallback', help: 'fail instead' },
];
