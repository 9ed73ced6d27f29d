/**
 * A set of blobs' names that takes two bytes for each: whether one is in it. Of a thousand that are not,
 * one is taken for one that is; never the other way round.
 */
const BITS_A_BLOB = 16;
const PROBES = 6;
const FIRST_LAYER_BLOBS = 65_536;

interface Layer {
  readonly bits: Uint32Array;
  readonly mostBlobs: number;
  blobs: number;
}

export class BlobFilter {
  /** Each twice as large as the one before: what is full is not touched any more. */
  readonly #layers: Layer[] = [];

  add(sha256: string): void {
    let layer = this.#layers.at(-1);
    if (layer === undefined || layer.blobs === layer.mostBlobs) {
      const mostBlobs = layer === undefined ? FIRST_LAYER_BLOBS : layer.mostBlobs * 2;
      layer = { bits: new Uint32Array((mostBlobs * BITS_A_BLOB) / 32), mostBlobs, blobs: 0 };
      this.#layers.push(layer);
    }
    layer.blobs += 1;
    const { first, stride } = placesOf(sha256);
    for (let probe = 0; probe < PROBES; probe += 1) {
      const bit = bitAt(layer, first, stride, probe);
      layer.bits[bit >>> 5] = (layer.bits[bit >>> 5] ?? 0) | (1 << (bit & 31));
    }
  }

  has(sha256: string): boolean {
    const { first, stride } = placesOf(sha256);
    return this.#layers.some((layer) => {
      for (let probe = 0; probe < PROBES; probe += 1) {
        const bit = bitAt(layer, first, stride, probe);
        if (((layer.bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false;
      }
      return true;
    });
  }
}

/** A digest is chance enough: two parts of it say where its bits are. */
function placesOf(sha256: string): { readonly first: number; readonly stride: number } {
  return {
    first: Number.parseInt(sha256.slice(0, 12), 16),
    // Odd, so that its bits are apart in any power of two.
    stride: Number.parseInt(sha256.slice(12, 24), 16) * 2 + 1,
  };
}

function bitAt({ bits }: Layer, first: number, stride: number, probe: number): number {
  return (first + probe * stride) % (bits.length * 32);
}
