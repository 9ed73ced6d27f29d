/** The manifests of deploy/kubernetes, as their kustomization names them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export const FOLDER = join(import.meta.dirname, '..', '..', 'deploy', 'kubernetes');
export const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

export interface Named {
  readonly name: string;
}
interface Port extends Named {
  readonly containerPort: number;
}
export interface Probe {
  readonly httpGet?: { readonly port: string; readonly path: string; readonly scheme?: string };
  readonly tcpSocket?: { readonly port: string };
  readonly exec?: { readonly command: readonly string[] };
}
interface Variable extends Named {
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: Named & { readonly key: string } };
}
export interface Container extends Named {
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly Variable[];
  readonly envFrom?: readonly { readonly configMapRef?: Named }[];
  readonly ports?: readonly Port[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly volumeMounts: readonly Named[];
  readonly [key: string]: unknown;
}
interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly (Named & {
    readonly configMap?: Named;
    readonly secret?: { readonly secretName: string };
  })[];
  readonly [key: string]: unknown;
}
export interface Manifest {
  readonly kind: string;
  readonly metadata: Named & { readonly namespace?: string };
  // The shape depends on the kind.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly spec: any;
  readonly data?: Readonly<Record<string, string>>;
}
export type Labels = Readonly<Record<string, string>>;

export const kustomization: {
  readonly resources: readonly string[];
  readonly images: readonly Named[];
} = parse(read('kustomization.yaml'));
export const manifests = kustomization.resources.flatMap((name) =>
  parseAllDocuments(read(name), { merge: true }).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.toJS() as Manifest;
  }),
);
export const ofKind = (kind: string): readonly Manifest[] =>
  manifests.filter((each) => each.kind === kind);
export const workloads = manifests.filter(({ spec }) => spec?.template !== undefined);
export const podOf = ({ spec }: Manifest): PodSpec => spec.template.spec;
export const labelsOf = ({ spec }: Manifest): Labels => spec.template.metadata.labels;
export const namesOf = (of: readonly Named[]): readonly string[] => of.map(({ name }) => name);
export const picks = (wanted: Labels, labels: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);
