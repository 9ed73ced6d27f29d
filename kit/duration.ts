/** Durations as people write them. */

const MS_OF_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Milliseconds: `90s`, `5m`, `1.5h`, `2h30m`; undefined when the text is no duration. */
export function durationMsOf(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d*\.?\d+)(ms|[smhd])/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join('') !== text) return undefined;
  const ms = parts.reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (MS_OF_UNIT[unit ?? ''] ?? 0),
    0,
  );
  return Math.round(ms);
}
