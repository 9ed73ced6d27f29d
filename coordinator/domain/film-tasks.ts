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
}

export interface AudioEncoding {
  readonly encoder: string;
  /** Bits a second for each track; 0 takes the encoder's default. */
  readonly bitrateBps: number;
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
  | { readonly $case: 'encode'; readonly value: { readonly video: VideoEncoding | undefined } }
  | {
      readonly $case: 'audio';
      readonly value: { readonly source: string; readonly audio: AudioEncoding | undefined };
    }
  | { readonly $case: 'concat'; readonly value: { readonly source: string; readonly film: string } }
  | {
      readonly $case: 'proveFilm';
      readonly value: { readonly source: string; readonly film: string };
    };
