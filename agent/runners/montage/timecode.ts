/**
 * SMPTE timecode: a number for every frame of a rate. At 29.97 and 59.94 it leaves numbers out (drop frame),
 * so that it keeps pace with the clock: the first two (of 60: four) of each minute, but of every tenth. Pure.
 */
export interface Rate {
  readonly num: number;
  readonly den: number;
}

/** Frames that a second counts. */
export function countedRate({ num, den }: Rate): number {
  return Math.round(num / den);
}

export function isDropFrame(rate: Rate): boolean {
  return rate.den === 1001 && (rate.num === 30_000 || rate.num === 60_000);
}

/** `01:00:00:00`, or `01:00:00;00` where frames are dropped. Wraps after a day, as clocks do. */
export function timecode(frame: number, rate: Rate): string {
  const counted = countedRate(rate);
  const drop = isDropFrame(rate);
  const day = drop ? framesIn(24 * 60, counted, true) : 24 * 3600 * counted;
  const number = withDropped(frame % day, counted, drop);
  const two = (value: number): string => String(value).padStart(2, '0');
  const seconds = Math.floor(number / counted);
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map(two);
  return `${clock.join(':')}${drop ? ';' : ':'}${two(number % counted)}`;
}

/** The frame that a timecode names; undefined when it names none: no such number, or one that is dropped. */
export function frameOf(text: string, rate: Rate): number | undefined {
  const match = /^(\d\d):(\d\d):(\d\d)[:;.](\d\d)$/.exec(text);
  if (match === null) return undefined;
  const [hours, minutes, seconds, frames] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const counted = countedRate(rate);
  const drop = isDropFrame(rate);
  if (hours > 23 || minutes > 59 || seconds > 59 || frames >= counted) return undefined;
  const skipped = droppedAMinute(counted);
  if (drop && seconds === 0 && frames < skipped && minutes % 10 !== 0) return undefined;
  const whole = hours * 60 + minutes;
  const number = (whole * 60 + seconds) * counted + frames;
  return drop ? number - skipped * (whole - Math.floor(whole / 10)) : number;
}

function droppedAMinute(counted: number): number {
  return counted / 15;
}

function framesIn(minutes: number, counted: number, drop: boolean): number {
  const all = minutes * 60 * counted;
  return drop ? all - droppedAMinute(counted) * (minutes - Math.floor(minutes / 10)) : all;
}

/** The number of a frame, when those that are left out are counted as well. */
function withDropped(frame: number, counted: number, drop: boolean): number {
  if (!drop) return frame;
  const skipped = droppedAMinute(counted);
  const tenMinutes = framesIn(10, counted, true);
  const minute = framesIn(1, counted, true);
  const tens = Math.floor(frame / tenMinutes);
  const rest = frame % tenMinutes;
  // The first minute of ten drops none.
  const minutes = rest < 60 * counted ? 0 : 1 + Math.floor((rest - 60 * counted) / minute);
  return frame + skipped * (9 * tens + minutes);
}
