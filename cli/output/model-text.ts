/** Models as lines. */
import type { ModelMemory } from '../../proto/gen/furrow/v1/model.ts';
import type { Model } from '../../proto/gen/furrow/v1/model_service.ts';
import { jsonOf } from '../../proto/model-manifest.ts';
import type { ModelTrial } from '../report.ts';
import { formatAge, formatBytes, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { printable } from './text-width.ts';

/** As JSON and lines show a model: its manifest as people write it. */
export function modelJson({ name, file, manifest, addedAtMs, memory }: Model): object {
  const taken = memory.map(({ provider, pixelBytes, baseBytes }) => {
    return { provider, pixelBytes: Math.round(pixelBytes), baseBytes };
  });
  return { name, file, manifest: manifest && jsonOf(manifest), addedAtMs, memory: taken };
}

export function modelTable(
  models: readonly Model[],
  style: Style,
  columns: number | undefined,
  nowMs: number,
): string[] {
  if (models.length === 0)
    return ['no models: furrow models add FILE --manifest FILE.json adds one'];
  return renderTable(
    models,
    [
      { title: 'NAME', cell: ({ name }) => name },
      { title: 'TO', cell: (model) => kindOf(model) },
      { title: 'SIZE', cell: ({ file }) => formatBytes(file?.sizeBytes ?? 0), align: 'right' },
      { title: 'SHA256', cell: ({ file }) => file?.sha256.slice(0, 12) ?? '' },
      { title: 'ADDED', cell: ({ addedAtMs }) => formatAge(nowMs - addedAtMs) },
      { title: 'LICENCE', cell: ({ manifest }) => manifest?.licence ?? '', flexible: true },
    ],
    style,
    columns,
  );
}

export function modelLines(model: Model, style: Style): string[] {
  const { name, file, manifest, memory } = model;
  const fields = Object.entries(manifest === undefined ? {} : jsonOf(manifest));
  const shown: [string, unknown][] = [
    ['name', name],
    ['file', file?.name],
    ['sha256', file?.sha256],
    ['size', formatBytes(file?.sizeBytes ?? 0)],
    ...fields,
    ...memory.map((seen): [string, unknown] => [`on ${seen.provider}`, memoryText(seen)]),
  ];
  const width = Math.max(...shown.map(([field]) => field.length));
  return shown.map(([field, value]) => `${style.dim(field.padEnd(width))}  ${text(value)}`);
}

/** As agents saw it. */
function memoryText({ pixelBytes, baseBytes }: ModelMemory): string {
  const each = `${formatBytes(Math.round(pixelBytes))} for each pixel at once`;
  return baseBytes === 0 ? each : `${formatBytes(baseBytes)} loaded, and ${each}`;
}

/** A line for what it took, and one for each tensor. */
export function trialLines(
  model: string,
  { provider, jobId, fault, facts }: ModelTrial,
  style: Style,
): string[] {
  const what = `${model} on ${provider}`;
  if (facts === undefined)
    return [`${what}: ${style.red('failed')}: ${printable(fault ?? '')} (${jobId})`];
  const { loadMs, runMs, peakBytes, width, height } = facts;
  const took = `${width}x${height} in ${formatDuration(runMs)}, loaded in ${formatDuration(loadMs)}`;
  const peak = peakBytes === 0 ? '' : `, ${formatBytes(peakBytes)} at most`;
  return [
    `${what}: ${style.green('runs')}: ${took}${peak}`,
    ...facts.inputs.map(({ name, type, shape }) => {
      return style.dim(`  takes ${printable(name)} ${type} [${shape.join(', ')}]`);
    }),
    ...facts.outputs.map(({ name, dims, least, most }) => {
      const range = `from ${Number(least.toPrecision(4))} to ${Number(most.toPrecision(4))}`;
      return style.dim(`  made ${printable(name)} [${dims.join(', ')}], ${range}`);
    }),
  ];
}

const MOST_SHOWN = 12;

function text(value: unknown): string {
  if (!Array.isArray(value)) return printable(String(value));
  const more = value.length > MOST_SHOWN ? ` … ${value.length} in all` : '';
  return printable(value.slice(0, MOST_SHOWN).join(', ') + more);
}

/** Such as `upscale ×4`. */
function kindOf({ manifest }: Model): string {
  if (manifest === undefined) return '';
  const { kind } = jsonOf(manifest);
  return manifest.scale > 0 ? `${String(kind)} ×${manifest.scale}` : String(kind);
}
