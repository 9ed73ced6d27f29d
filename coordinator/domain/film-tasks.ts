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
  /** A film of high dynamic range becomes one of standard range. */
  readonly toSdr?: boolean | undefined;
  /** Of the whole film on average; absent or 0 for constant quality. */
  readonly bitrateBps?: number | undefined;
  /** Structural similarity to the source; absent or 0 for what `crf` says. */
  readonly targetSsim?: number | undefined;
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

/** Which frames a film has instead of its source's: a rate, or a factor. */
export interface Retime {
  /** Frames a second; 0/0 where a factor is given. */
  readonly rateNum: number;
  readonly rateDen: number;
  /** Frames for each of the source's; 0 where a rate is given. */
  readonly factor: number;
  /** Frames between two of the source's are made of both. */
  readonly between: boolean;
}

/** Frames of two fields become whole pictures. */
export interface Deinterlace {
  /** Every film, not only those that are found to be interlaced. */
  readonly always: boolean;
  /** Each field becomes a picture. */
  readonly eachField: boolean;
}

export type FilmTaskKind =
  | {
      readonly $case: 'split';
      readonly value: {
        readonly source: string;
        readonly pieceMs: number;
        readonly retime?: Retime | undefined;
        /** Frames beyond its own that a piece holds, before and after. */
        readonly leadFrames?: number | undefined;
        readonly tailFrames?: number | undefined;
        readonly deinterlace?: Deinterlace | undefined;
        readonly branch?: FilmBranch | undefined;
        /** Units of the next step that can run at once: pieces are sized for them. */
        readonly unitsAtOnce?: number | undefined;
        /** `time` or `scene`. */
        readonly pieceBy?: string | undefined;
      };
    }
  | {
      readonly $case: 'encode';
      readonly value: {
        readonly video: VideoEncoding | undefined;
        /** Held still by `moves.json`. */
        readonly steady?: boolean | undefined;
        readonly branch?: FilmBranch | undefined;
        /** The encoder in whose place this one is used. */
        readonly inPlaceOf?: string | undefined;
      };
    }
  | { readonly $case: 'measure'; readonly value: { readonly video: VideoEncoding | undefined } }
  | { readonly $case: 'planRates'; readonly value: { readonly bitrateBps: number } }
  | {
      readonly $case: 'findQuality';
      readonly value: {
        readonly source: string;
        readonly video: VideoEncoding | undefined;
        readonly targetSsim: number;
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
  | {
      readonly $case: 'concat';
      readonly value: {
        readonly source: string;
        readonly film: string;
        readonly timecode?: boolean | undefined;
        readonly branch?: FilmBranch | undefined;
      };
    }
  | {
      readonly $case: 'proveFilm';
      readonly value: {
        readonly source: string;
        readonly film: string;
        readonly timecode?: boolean | undefined;
        readonly branch?: FilmBranch | undefined;
        readonly report?: string | undefined;
      };
    }
  | {
      readonly $case: 'tabulate';
      readonly value: { readonly films: readonly TabulatedFilm[]; readonly proofs: string };
    }
  | SteadyTaskKind
  | PictureTaskKind
  | SoundTaskKind
  | ClipTaskKind
  | {
      readonly $case: 'encodeProxy';
      readonly value: { readonly format: string; readonly longestSide: number };
    };

type SteadyTaskKind =
  | { readonly $case: 'detectMotion'; readonly value: { readonly shakiness: number } }
  | {
      readonly $case: 'smoothMotion';
      readonly value: {
        readonly smoothingMs: number;
        readonly zoomMilliPercent: number;
        readonly crop: boolean;
        readonly shakiness: number;
      };
    };

export interface ContactSheet {
  readonly columns: number;
  readonly rows: number;
  /** Pixels of each picture. */
  readonly width: number;
  readonly withoutTimes: boolean;
}

export interface Sprites {
  readonly intervalMs: number;
  /** Pixels of each picture. */
  readonly width: number;
  readonly columns: number;
  readonly rows: number;
}

export interface Poster {
  readonly atMs?: number | undefined;
}

type PictureTaskKind =
  | {
      readonly $case: 'takeThumbnails';
      readonly value: {
        readonly source: string;
        readonly format: string;
        readonly sheet?: ContactSheet | undefined;
        readonly sprites?: Sprites | undefined;
        readonly poster?: Poster | undefined;
      };
    }
  | { readonly $case: 'proveThumbnails'; readonly value: { readonly source: string } };

export interface Loudness {
  readonly targetLufs: number;
  readonly truePeakDbtp: number;
}

export interface SoundCoding {
  readonly encoder: string;
  /** 0 takes the encoder's default. */
  readonly bitrateBps: number;
  /** 0 keeps the source's. */
  readonly channels: number;
  /** 0 keeps the source's. */
  readonly sampleRate: number;
  readonly loudness?: Loudness | undefined;
}

type SoundTaskKind =
  | {
      readonly $case: 'extractSound';
      readonly value: {
        readonly source: string;
        readonly sound: string;
        readonly coding: SoundCoding | undefined;
        /** From 1. */
        readonly tracks: readonly number[];
      };
    }
  | { readonly $case: 'proveSound'; readonly value: { readonly source: string } };

type ClipTaskKind =
  | {
      readonly $case: 'surveyClips';
      readonly value: {
        readonly clips: readonly { readonly source: string; readonly name: string }[];
        readonly width: number;
        readonly height: number;
        readonly frameRate: string;
        readonly sampleRate: number;
        readonly channels: number;
      };
    }
  | {
      readonly $case: 'normaliseClip';
      readonly value: {
        readonly encoder: string;
        readonly crf: number;
        readonly preset: string;
        readonly threads: number;
      };
    }
  | {
      readonly $case: 'joinSounds';
      readonly value: { readonly encoder: string; readonly bitrateBps: number };
    };

interface TabulatedFilm {
  readonly source: string;
  readonly sourceBytes: number;
  readonly film: string;
  readonly suffix: string;
  readonly refused: string;
}
