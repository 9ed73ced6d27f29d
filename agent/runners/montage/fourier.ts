/** Power spectra of real signals, by an in-place radix-2 transform. Pure. */

/** For frames of one size, a power of two. */
export class Spectrum {
  readonly size: number;
  readonly #window: Float64Array;
  readonly #cosines: Float64Array;
  readonly #sines: Float64Array;
  readonly #real: Float64Array;
  readonly #imaginary: Float64Array;

  constructor(size: number) {
    this.size = size;
    // Hann: a tone between two bins leaks little.
    this.#window = Float64Array.from(
      { length: size },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size),
    );
    const angles = Array.from({ length: size / 2 }, (_, i) => (2 * Math.PI * i) / size);
    this.#cosines = Float64Array.from(angles, Math.cos);
    this.#sines = Float64Array.from(angles, Math.sin);
    this.#real = new Float64Array(size);
    this.#imaginary = new Float64Array(size);
  }

  /** Magnitudes of bins 0 to size / 2 of the samples from `from` on; what is not there counts as silence. */
  magnitudes(samples: Float32Array, from: number, into: Float64Array): void {
    const real = this.#real;
    const imaginary = this.#imaginary;
    for (let i = 0; i < this.size; i += 1) {
      real[i] = (samples[from + i] ?? 0) * this.#window[i]!;
      imaginary[i] = 0;
    }
    this.#transform();
    for (let i = 0; i <= this.size / 2; i += 1) into[i] = Math.hypot(real[i]!, imaginary[i]!);
  }

  #transform(): void {
    const real = this.#real;
    const imaginary = this.#imaginary;
    this.#reverseBits();
    for (let half = 1; half < this.size; half *= 2) {
      const step = this.size / (2 * half);
      for (let start = 0; start < this.size; start += 2 * half) {
        for (let i = 0; i < half; i += 1) {
          const a = start + i;
          const b = a + half;
          const cosine = this.#cosines[i * step]!;
          const sine = -this.#sines[i * step]!;
          const turnedReal = real[b]! * cosine - imaginary[b]! * sine;
          const turnedImaginary = real[b]! * sine + imaginary[b]! * cosine;
          real[b] = real[a]! - turnedReal;
          imaginary[b] = imaginary[a]! - turnedImaginary;
          real[a] = real[a]! + turnedReal;
          imaginary[a] = imaginary[a]! + turnedImaginary;
        }
      }
    }
  }

  /** The imaginary part is still zero. */
  #reverseBits(): void {
    const real = this.#real;
    let reversed = 0;
    for (let i = 1; i < this.size; i += 1) {
      let bit = this.size / 2;
      for (; (reversed & bit) !== 0; bit /= 2) reversed ^= bit;
      reversed |= bit;
      if (i < reversed) [real[i], real[reversed]] = [real[reversed]!, real[i]!];
    }
  }
}
