/** Places for what takes long, such as uploads: so many in all, and so many for one address. */
export interface PlacesOptions {
  readonly inAll: number;
  readonly perAddress: number;
}

export class Places {
  readonly #options: PlacesOptions;
  readonly #takenBy = new Map<string, number>();
  #taken = 0;

  constructor(options: PlacesOptions) {
    this.#options = options;
  }

  get taken(): number {
    return this.#taken;
  }

  /** The answer gives the place back. Undefined: none is free. */
  take(address: string): (() => void) | undefined {
    const { inAll, perAddress } = this.#options;
    const own = this.#takenBy.get(address) ?? 0;
    if (this.#taken >= inAll || own >= perAddress) return undefined;
    this.#taken += 1;
    this.#takenBy.set(address, own + 1);
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      this.#taken -= 1;
      const left = (this.#takenBy.get(address) ?? 1) - 1;
      if (left > 0) this.#takenBy.set(address, left);
      else this.#takenBy.delete(address);
    };
  }
}
