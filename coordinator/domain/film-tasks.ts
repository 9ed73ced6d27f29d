/** Tasks of which films are made, with the shape of furrow.v1's messages, as `task.ts` says. */
export interface VideoEncoding {
  readonly encoder: string;
  readonly crf: number;
  readonly preset: string;
  /** Pixels; 0 keeps the source's shape. */
  readonly width: number;
  /** Pixels; 0 keeps the source's shape. */
  readonly height: number;
  /** 0 takes the unit's CPUs. */
  readonly threads: number;
  /** Bits a second over some seconds; 0 or absent for no ceiling. */
  readonly maxBitrateBps?: number | undefined;
}

/** One film of several that a job makes. */
export interface FilmBranch {
  /** Of a 16:9 frame; 0 keeps the source's size. */
  readonly lines: number;
  /** Made even where the source has fewer lines. */
  readonly always: boolean;
  /** Empty for `proof.json`. */
  readonly proof: string;
  /** Faults of the source are noted, and are no failures. */
  readonly noteFaults: boolean;
}

export interface AudioEncoding {
  readonly encoder: string;
  /** Bits a second for each track; 0 takes the encoder's default. */
  readonly bitrateBps: number;
  /** Absent for all tracks. */
  readonly tracks?: AudioTrackChoice | undefined;
}

export interface AudioTrackChoice {
  readonly first: boolean;
  readonly languages: readonly string[];
}

export type FilmTaskKind =
  | {
      readonly $case: 'split';
      readonly value: {
        readonly source: string;
        readonly pieceMs: number;
        readonly branch?: FilmBranch | undefined;
      };
    }
  | {
      readonly $case: 'encode';
      readonly value: {
        readonly video: VideoEncoding | undefined;
        readonly branch?: FilmBranch | undefined;
      };
    }
  | {
      readonly $case: 'audio';
      readonly value: {
        readonly source: string;
        readonly audio: AudioEncoding | undefined;
        readonly branch?: FilmBranch | undefined;
      };
    }
  | { readonly $case: 'concat'; readonly value: JoinedFilm }
  | { readonly $case: 'proveFilm'; readonly value: JoinedFilm }
  | {
      readonly $case: 'tabulate';
      readonly value: { readonly films: readonly TabulatedFilm[]; readonly proofs: string };
    };

interface TabulatedFilm {
  readonly source: string;
  readonly sourceBytes: number;
  readonly film: string;
  readonly suffix: string;
  readonly refused: string;
}

interface JoinedFilm {
  readonly source: string;
  readonly film: string;
  readonly branch?: FilmBranch | undefined;
}
