/**
 * A cut list as CMX3600 EDL, and back. Source times are the clip's own timecode (from 00:00:00:00 where it has
 * none) in frames of the film; the record begins at one hour. Names that reels cannot hold are in comments, as
 * are transitions that CMX3600 has no word for: other programs show those as dissolves. Pure.
 */
import { type CutList, clipFramesOf, type Shot, shotStarts } from './cut-list.ts';
import { type EditedList, type EditedShot, ListFault, transitionOf } from './edited-list.ts';
import { countedRate, frameOf, isDropFrame, timecode, type Rate } from './timecode.ts';

const EFFECT = 'FURROW TRANSITION:';

/** Reels of clips, by number: eight letters and digits, each its own. */
export function reelsOf(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name, index) => {
    const base = name
      .replace(/\.[^.]*$/, '')
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]/g, '')
      .slice(0, 8);
    let reel = base;
    // AX and BL mean auxiliary and black; numbers of clips make the rest different.
    for (
      let more = index + 1;
      reel === '' || taken.has(reel) || /^(AX|BL)$/.test(reel);
      more += 1
    ) {
      const number = String(more).padStart(3, '0');
      reel = `${(base || 'CLIP').slice(0, 8 - number.length)}${number}`;
    }
    taken.add(reel);
    return reel;
  });
}

/** The film's first frame, as its record counts it: at one hour, where editors let a programme begin. */
export function recordStart(rate: Rate): number {
  return frameOf('01:00:00:00', rate)!;
}

export function edlText(list: CutList, title: string): string {
  const { rate, clips, shots } = list;
  const reels = reelsOf(clips.map(({ name }) => name));
  const starts = shotStarts(list);
  const begin = recordStart(rate);
  const lines = [
    `TITLE: ${oneLine(title).slice(0, 70)}`,
    `FCM: ${isDropFrame(rate) ? 'DROP FRAME' : 'NON-DROP FRAME'}`,
  ];
  shots.forEach((shot, index) => {
    const clip = clips[shot.clip]!;
    const record = begin + starts[index]!;
    const event = String(index + 1).padStart(3, '0');
    const line = (
      reel: string,
      edit: string,
      from: number,
      until: number,
      at: number,
      end: number,
    ) =>
      `${event}  ${reel.padEnd(8)} V     ${edit} ${[from, until, at, end].map((frame) => timecode(frame, rate)).join(' ')}`;
    const from = clip.startFrames + shot.from;
    const until = from + sourceFrames(shot);
    const last = record + shot.frames;
    const before = shots[index - 1];
    const speed = (of: Shot, reel: string, at: number): string[] =>
      of.speedPercent === 100
        ? []
        : [
            // Programs look for colons here, be frames dropped or not.
            `M2   ${reel.padEnd(8)} ${speedField(of.speedPercent, rate)} ${timecode(at, rate).replace(';', ':')}`,
          ];
    if (shot.transitionFrames === 0 || before === undefined) {
      lines.push(line(reels[shot.clip]!, 'C       ', from, until, record, last));
      lines.push(...speed(shot, reels[shot.clip]!, from));
      lines.push(`* FROM CLIP NAME: ${clip.name}`);
      return;
    }
    const other = clips[before.clip]!;
    const out = other.startFrames + before.from + sourceFrames(before);
    const length = String(shot.transitionFrames).padStart(3, '0');
    lines.push(line(reels[before.clip]!, 'C       ', out, out, record, record));
    lines.push(line(reels[shot.clip]!, `D    ${length}`, from, until, record, last));
    lines.push(...speed(shot, reels[shot.clip]!, from));
    lines.push(`* FROM CLIP NAME: ${other.name}`, `* TO CLIP NAME: ${clip.name}`);
    if (shot.transition !== 'dissolve') lines.push(`* ${EFFECT} ${shot.transition}`);
  });
  return `${lines.join('\r\n')}\r\n`;
}

/** Whole frames between the marks: what the record's frames go through at the shot's speed. */
function sourceFrames(shot: Shot): number {
  return shot.speedPercent === 100 ? shot.frames : clipFramesOf(shot, shot.frames);
}

/** Frames a second that the source is played at: `015.0` for half of 30, `008.25` for a third of 25. */
function speedField(percent: number, rate: Rate): string {
  const speed = (countedRate(rate) * percent) / 100;
  const [whole = '', rest = '0'] = String(Math.round(speed * 100) / 100).split('.');
  return `${whole.padStart(3, '0')}.${rest}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?');
}

// --- And back --------------------------------------------------------------------------------------

const EVENT =
  /^(\d{1,6})\s+(\S+)\s+(\S+)\s+(C|D|W\d{3}|K\s*[BO]?)\s*(\d{1,4})?\s+(\d\d[:;.]\d\d[:;.]\d\d[:;.]\d\d)\s+(\S+)\s+(\S+)\s+(\S+)\s*$/;

interface Draft {
  readonly line: number;
  readonly reel: string;
  readonly from: number;
  readonly frames: number;
  readonly record: number;
  readonly transitionFrames: number;
  fromName?: string;
  toName?: string;
  effect?: string;
  speedPercent: number;
}

/** Throws ListFault, which names the line. */
export function readEdl(text: string, rate: Rate): EditedList {
  const drafts: Draft[] = [];
  for (const [index, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const line = raw.replace(/^\uFEFF/, '').trim();
    const number = index + 1;
    if (line === '' || line.startsWith('TITLE:')) continue;
    if (line.startsWith('FCM:')) refuseOtherCount(line, number, rate);
    else if (line.startsWith('M2')) takeSpeed(drafts.at(-1), line, number, rate);
    else if (/^\d/.test(line)) takeEvent(drafts, line, number, rate);
    else takeComment(drafts.at(-1), line);
  }
  refuseGaps(drafts, rate);
  return { shots: drafts.map(shotOf) };
}

function fault(number: number, what: string): ListFault {
  return new ListFault(`line ${number}: ${what}`);
}

function refuseOtherCount(line: string, number: number, rate: Rate): void {
  const drops = !line.includes('NON');
  if (drops === isDropFrame(rate)) return;
  throw fault(
    number,
    drops
      ? `the list drops frames, and a film of ${rate.num}/${rate.den} does not: give its rate with --fps 29.97 or 59.94`
      : `the list does not drop frames, and timecode of ${rate.num}/${rate.den} does: export it as drop frame, or give its rate with --fps`,
  );
}

function takeEvent(drafts: Draft[], line: string, number: number, rate: Rate): void {
  const match = EVENT.exec(line);
  if (match === null) {
    throw fault(
      number,
      'is no event: it is number, reel, track, C or D, and four timecodes, with blanks between',
    );
  }
  const [, , reel = '', track = '', edit = '', length, ...codes] = match;
  if (!/^(V\d*|B|AA\/V|A\d*\/V)$/i.test(track)) return;
  if (edit !== 'C' && edit !== 'D') {
    throw fault(number, `has a wipe or key (${edit}): use a cut (C) or a dissolve (D)`);
  }
  const [from, until, record, end] = codes.map((code) => {
    const frame = frameOf(code, rate);
    if (frame !== undefined) return frame;
    throw fault(
      number,
      `${code} is no timecode at ${rate.num}/${rate.den} frames a second: correct it, or give the list's rate with --fps`,
    );
  }) as [number, number, number, number];
  // The first line of a dissolve only says what it comes from.
  if (edit === 'C' && end === record) return;
  if (until <= from || end <= record)
    throw fault(number, 'ends before it begins: correct its timecodes');
  const frames = end - record;
  drafts.push({
    line: number,
    reel,
    from,
    frames,
    record,
    transitionFrames: edit === 'D' ? Number(length ?? 0) : 0,
    speedPercent: 100,
  });
}

function takeSpeed(draft: Draft | undefined, line: string, number: number, rate: Rate): void {
  const speed = Number(/^M2\s+\S+\s+(-?[\d.]+)/.exec(line)?.[1]);
  const percent = (speed / countedRate(rate)) * 100;
  if (draft === undefined || !(percent > 0)) {
    throw fault(
      number,
      'has a speed that is not taken: clips play forwards, at a speed of their own event',
    );
  }
  if (Math.abs(percent - Math.round(percent)) > 0.05) {
    throw fault(number, `plays at ${percent.toFixed(2)} %: use a whole number of percent`);
  }
  draft.speedPercent = Math.round(percent);
}

function takeComment(draft: Draft | undefined, line: string): void {
  const comment = (word: string): string | undefined =>
    line.startsWith(`* ${word}`) ? line.slice(word.length + 2).replace(/^ /, '') : undefined;
  if (draft === undefined) return;
  draft.fromName ??= comment('FROM CLIP NAME:');
  draft.toName ??= comment('TO CLIP NAME:');
  draft.effect ??= comment(EFFECT);
}

function refuseGaps(drafts: readonly Draft[], rate: Rate): void {
  for (const [index, draft] of drafts.entries()) {
    const before = drafts[index - 1];
    if (before === undefined) continue;
    const end = before.record + before.frames;
    if (draft.record !== end) {
      throw fault(
        draft.line,
        `begins at ${timecode(draft.record, rate)} in the film and the shot before ends at ${timecode(end, rate)}: let them meet`,
      );
    }
  }
}

function shotOf(draft: Draft): EditedShot {
  const where = `line ${draft.line}`;
  const name = (draft.transitionFrames > 0 ? draft.toName : undefined) ?? draft.fromName;
  return {
    where,
    clip: name ?? draft.reel,
    from: draft.from,
    fromIsTimecode: true,
    frames: draft.frames,
    speedPercent: draft.speedPercent,
    transition:
      draft.transitionFrames === 0 ? 'cut' : transitionOf(draft.effect ?? 'dissolve', where),
    transitionFrames: draft.transitionFrames,
  };
}
