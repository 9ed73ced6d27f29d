/**
 * Between a picture's values and a model's floats: which channel lies where, and which number a value is. Both
 * ways by the manifest, so that what a model leaves alone comes back as it was.
 */
import { ChannelOrder, type ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { FrameBits } from '../model-work.ts';
import { WorkFailure } from './work-failure.ts';

/** One channel of a model. */
export interface Channel {
  /** Where its first value lies in a frame: an offset in values, for frames of RGB; 0 for brightness. */
  readonly offset: number;
  /** The model's number for each value. */
  readonly floats: Float32Array;
  /** In values, not in bytes as the manifest has them. */
  readonly mean: number;
  readonly deviation: number;
}

export function channelsOf(manifest: ModelManifest, bits: FrameBits = 8): readonly Channel[] {
  const aByte = 2 ** (bits - 8);
  const { channels, mean, deviation } = manifest;
  const offsets =
    channels === ChannelOrder.CHANNEL_ORDER_LUMA
      ? [0]
      : channels === ChannelOrder.CHANNEL_ORDER_BGR
        ? [2, 1, 0]
        : [0, 1, 2];
  return offsets.map((offset, channel) => {
    const of = (figures: readonly number[], usual: number, name: string): number => {
      if (figures.length > 1 && figures.length !== offsets.length) {
        const message = `the manifest's ${name} has ${figures.length} numbers: give one, or one for each of the ${offsets.length} channels`;
        throw new WorkFailure('invalid-input', message);
      }
      return figures[channel] ?? figures[0] ?? usual;
    };
    const [middle, spread] = [of(mean, 0, 'mean'), of(deviation, 255, 'deviation')];
    if (spread === 0) {
      throw new WorkFailure(
        'invalid-input',
        "the manifest's deviation is 0: nothing divides by it",
      );
    }
    const [own, ownSpread] = [middle * aByte, spread * aByte];
    const floats = Float32Array.from(
      { length: 2 ** bits },
      (_, value) => (value - own) / ownSpread,
    );
    return { offset, floats, mean: own, deviation: ownSpread };
  });
}
