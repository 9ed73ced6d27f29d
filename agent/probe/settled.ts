/** Figures that move all the time, as they are told: in steps, and without a flutter between two of them. */

/**
 * The next figure to tell after the one told before. It is rounded to a step (`up` for what others use,
 * `down` for what is free: never in our favour) and stays where it is until the figure is a whole step
 * better; what is worse is told at once.
 */
export function settled(
  toldBefore: number,
  figure: number,
  step: number,
  rounding: 'up' | 'down',
): number {
  const towards = rounding === 'up' ? 1 : -1;
  const rounded = towards * Math.ceil((towards * figure) / step) * step;
  const isWorse = towards * (rounded - toldBefore) > 0;
  const isFarBetter = towards * (toldBefore - figure) >= 2 * step;
  return isWorse || isFarBetter ? rounded : toldBefore;
}
