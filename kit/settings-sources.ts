/**
 * Where a setting's value came from. Settings are layers, the strongest last; what merges them also remembers
 * which layer each value is of, so that what is shown cannot differ from what counts.
 */
import { isFarmUrl } from './farm-url.ts';

export interface Source {
  readonly kind: 'flag' | 'environment' | 'file' | 'context' | 'default';
  /** The flag, variable, path or context; empty for a default. */
  readonly name: string;
}

export const DEFAULT_SOURCE: Source = { kind: 'default', name: '' };
export const flagSource = (name: string): Source => ({ kind: 'flag', name });
export const variableSource = (name: string): Source => ({ kind: 'environment', name });
export const fileSource = (name: string): Source => ({ kind: 'file', name });

/** What one place says. */
export interface SettingsLayer {
  readonly values: Readonly<Record<string, unknown>>;
  readonly sourceOf: (key: string) => Source;
}

export interface LayeredSettings {
  readonly values: Record<string, unknown>;
  /** The layer that won, or the default. */
  readonly sourceOf: (key: string) => Source;
}

/** Later layers win; what a layer leaves undefined it does not say. */
export function layerSettings(layers: readonly SettingsLayer[]): LayeredSettings {
  const values: Record<string, unknown> = {};
  const sources = new Map<string, Source>();
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer.values)) {
      if (value === undefined) continue;
      values[key] = value;
      sources.set(key, layer.sourceOf(key));
    }
  }
  return { values, sourceOf: (key) => sources.get(key) ?? DEFAULT_SOURCE };
}

/** `leaseTtlMs` to `lease-ttl-ms`. */
export const kebabCase = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** One setting as it is shown. */
export interface ShownSetting {
  readonly name: string;
  /** Undefined: it is not set. Without secrets. */
  readonly value: unknown;
  readonly from: Source;
}

/** Of a secret, only that it is there. */
export const shownSecret = (secret: string): string => `set (${secret.length} characters)`;

/** The same text or list without the token of a farm's URL, and without the user of any other. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'string') return value;
  if (isFarmUrl(value)) return value.replace(/([?&]token=)[^&]*/g, '$1…');
  return value.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1…@');
}
