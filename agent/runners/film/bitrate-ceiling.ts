/** How an encoder of constant quality is kept below a bit rate, the same in every chunk. Pure. */

/**
 * A player's buffer, within which single pictures may take more. It is short and half full at the start of
 * each chunk, which knows nothing of the one before: so a chunk is over the rate by half a second's worth at
 * most.
 */
const BUFFER_SECONDS = 1;
const FULL_AT_START = 0.5;

/** Options after the encoder's own; 0 for no ceiling. */
export function ceilingOptions(encoder: string, bitrateBps: number): readonly string[] {
  if (bitrateBps === 0) return [];
  const bufferBits = BUFFER_SECONDS * bitrateBps;
  const limits = [
    ['-maxrate', String(bitrateBps), '-bufsize', String(bufferBits)],
    ['-rc_init_occupancy', String(Math.round(bufferBits * FULL_AT_START))],
  ].flat();
  // VP9 keeps a quality only below a rate that it is given as its own.
  return encoder === 'libvpx-vp9' ? ['-b:v', String(bitrateBps), ...limits] : limits;
}
