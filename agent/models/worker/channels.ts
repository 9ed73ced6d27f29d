/**
 * Between a picture's bytes and a model's floats: which channel lies where, and which number a byte is. Both
 * ways by the manifest, so that what a model leaves alone comes back as it was.
 */
import { ChannelOrder, type ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import { WorkFailure } from './work-failure.ts';

/** One channel of a model. */
export interface Channel {
  /** Where its first byte lies in a frame: an offset in bytes, for frames of rgb24; 0 for brightness. */
  readonly offset: number;
  /** The model's number for each byte. */
  readonly floats: Float32Array;
  readonly mean: number;
  readonly deviation: number;
}

export function channelsOf(manifest: ModelManifest): readonly Channel[] {
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
    const floats = Float32Array.from({ length: 256 }, (_, byte) => (byte - middle) / spread);
    return { offset, floats, mean: middle, deviation: spread };
  });
}
