/** The manifests of deploy/kubernetes, as far as they can be judged without a cluster. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { acceptedLine } from '../../support/accepted-line.ts';
import {
  FOLDER,
  kustomization,
  labelsOf,
  type Labels,
  type Manifest,
  manifests,
  namesOf,
  ofKind,
  picks,
  podOf,
  read,
  workloads,
} from '../../support/manifests.ts';

const named = workloads.map((each) => [`${each.kind} ${each.metadata.name}`, each] as const);
const containers = named.flatMap(([name, each]) =>
  [...podOf(each).initContainers, ...podOf(each).containers].map(
    (container) => [`${name}: ${container.name}`, container, each] as const,
  ),
);
const running = named.flatMap(([name, each]) =>
  podOf(each).containers.map((container) => [`${name}: ${container.name}`, container] as const),
);

test('the kustomization holds all files, and all workloads are here', () => {
  const files = readdirSync(FOLDER).filter((name) => name !== 'kustomization.yaml');
  expect([...kustomization.resources].toSorted()).toEqual(files.toSorted());
  expect(named.map(([name]) => name)).toEqual([
    'StatefulSet furrow-nats',
    'StatefulSet furrow-coordinator',
    'Deployment furrow-agent',
    'DaemonSet furrow-agent-cuda',
  ]);
});

test('no plain text in braces begins a word with a question mark: kubectl reads that as a key', () => {
  for (const name of kustomization.resources) {
    expect(read(name)).not.toMatch(/\{[^}'"\n]*[^\s'"{},]\?[^}\n]*\}/);
  }
});

describe.each(containers)('%s', (_name, container, workload) => {
  const { securityContext: ofPod } = podOf(workload);

  test('says what it needs and may take', () => {
    const limits = { cpu: expect.anything(), memory: expect.stringMatching(/^\d+[MG]i$/) };
    expect(container['resources']).toMatchObject({ requests: limits, limits });
  });

  test('has no rights', () => {
    expect(ofPod).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 10_001,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container['securityContext']).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test("is of a fixed version, its own or the kustomization's", () => {
    const isFixed = /:\d+\.\d+\.\d+-\w+$/.test(container.image);
    expect(isFixed || namesOf(kustomization.images).includes(container.image)).toBe(true);
  });

  test('mounts what there is', () => {
    const claims = (workload.spec.volumeClaimTemplates ?? []) as readonly Manifest[];
    const there = [
      ...namesOf(podOf(workload).volumes),
      ...claims.map((claim) => claim.metadata.name),
    ];
    expect(namesOf(container.volumeMounts).filter((name) => !there.includes(name))).toEqual([]);
  });

  test('takes secrets from secrets, not from its own text', () => {
    const secret = (container.env ?? []).filter(({ name }) => /TOKEN|URL|KEY/.test(name));
    expect(secret.filter(({ value }) => value !== undefined)).toEqual([]);
  });
});

describe.each(running)('%s', (_name, container) => {
  test('is asked how it does, at ports that it has', () => {
    const ports = namesOf(container.ports ?? []);
    const probes = [container.startupProbe, container.readinessProbe, container.livenessProbe];
    const asked = probes.map((probe) => {
      const { httpGet, tcpSocket, exec } = probe ?? {};
      return httpGet?.port ?? tcpSocket?.port ?? exec?.command.join(' ');
    });
    expect(asked.filter((what) => ![...ports, 'agent-alive'].includes(what ?? ''))).toEqual([]);
  });
});

const lines = containers
  .filter(([, { image }]) => image.startsWith('furrow-'))
  .flatMap(([name, { args }]) => (args === undefined ? [] : [[name, args] as const]));

describe.each(lines)('%s', (_name, args) => {
  test('is started by a line that the program takes', async () => {
    await acceptedLine(args.map((word) => word.replaceAll(/\$\(\w+\)/g, 'furrow-coordinator-0')));
  });
});

test('a coordinator listens where its ports say', async () => {
  const [, coordinator] = running.find(([name]) => name.endsWith(': coordinator'))!;
  const { options } = await acceptedLine(
    coordinator.args!.map((word) => word.replace(/\$\(.*\)/, 'x')),
  );
  const ports = Object.fromEntries(
    coordinator.ports!.map((port) => [port.name, port.containerPort]),
  );
  expect(ports).toEqual({ grpc: options['grpcPort'], https: options['httpPort'] });
});

test('what refers to pods finds some', () => {
  const all = workloads.map(labelsOf);
  const selectors: readonly Labels[] = [
    ...ofKind('Service').map(({ spec }) => spec.selector),
    ...[...ofKind('PodDisruptionBudget'), ...workloads].map(
      ({ spec }) => spec.selector.matchLabels,
    ),
    ...ofKind('NetworkPolicy').flatMap(({ spec }) => [
      spec.podSelector.matchLabels ?? {},
      ...(spec.ingress ?? []).flatMap(
        (rule: { from: readonly { podSelector?: { matchLabels: Labels } }[] }) =>
          rule.from.flatMap(({ podSelector }): Labels[] =>
            podSelector ? [podSelector.matchLabels] : [],
          ),
      ),
    ]),
  ];
  expect(selectors.length).toBeGreaterThan(10);
  expect(selectors.filter((wanted) => !all.some((labels) => picks(wanted, labels)))).toEqual([]);
  for (const { spec } of workloads) {
    expect(picks(spec.selector.matchLabels, spec.template.metadata.labels)).toBe(true);
  }
});

test('config maps and services that are named are there', () => {
  const maps = namesOf(ofKind('ConfigMap').map(({ metadata }) => metadata));
  const asked = workloads.flatMap((each) => [
    ...podOf(each).volumes.flatMap(({ configMap }) => configMap?.name ?? []),
    ...podOf(each).containers.flatMap(({ envFrom = [] }) =>
      envFrom.flatMap(({ configMapRef }) => configMapRef?.name ?? []),
    ),
  ]);
  expect(asked.toSorted()).toEqual(maps.toSorted());
  const services = namesOf(ofKind('Service').map(({ metadata }) => metadata));
  const governed: string[] = ofKind('StatefulSet').map(({ spec }) => spec.serviceName);
  expect(governed.toSorted()).toEqual(services.toSorted());
});

test('every host that is named is a pod of a set, by its service, at a port of that service', () => {
  const hosts = [
    ...JSON.stringify(manifests).matchAll(/\b(furrow-[a-z]+)-(\d)\.([a-z-]+)\.furrow\.svc:(\d+)/g),
  ];
  expect(hosts.length).toBeGreaterThan(8);
  for (const [, set, index, service, port] of hosts) {
    const { spec } = ofKind('StatefulSet').find(({ metadata }) => metadata.name === set)!;
    expect(Number(index)).toBeLessThan(spec.replicas);
    expect(spec.serviceName).toBe(service);
    const { ports } = ofKind('Service').find(({ metadata }) => metadata.name === service)!.spec;
    expect(ports.map((each: { port: number }) => each.port)).toContain(Number(port));
  }
});

test('the names of ports in policies are ports of the pods they let others reach', () => {
  for (const { spec } of ofKind('NetworkPolicy').filter((each) => each.spec.ingress)) {
    const target = workloads.find((each) => picks(spec.podSelector.matchLabels, labelsOf(each)))!;
    const ports = podOf(target).containers.flatMap((each) => namesOf(each.ports ?? []));
    for (const { ports: asked } of spec.ingress) {
      for (const { port } of asked) expect(ports).toContain(port);
    }
  }
});

test('the journal has a copy on each server, and enough servers stay up', () => {
  const nats = ofKind('StatefulSet').find(({ metadata }) => metadata.name === 'furrow-nats')!;
  const [, coordinator] = running.find(([name]) => name.endsWith(': coordinator'))!;
  const args = coordinator.args!;
  expect(Number(args[args.indexOf('--replicas') + 1])).toBe(nats.spec.replicas);
  expect(args[args.indexOf('--nats-monitor') + 1]!.split(',')).toHaveLength(nats.spec.replicas);
  for (const { spec } of ofKind('PodDisruptionBudget')) expect(spec.maxUnavailable).toBe(1);
});

test('a coordinator is asked by TLS: it speaks nothing else', () => {
  const [, coordinator] = running.find(([name]) => name.endsWith(': coordinator'))!;
  expect(coordinator.readinessProbe?.httpGet).toEqual({
    path: '/healthz',
    port: 'https',
    scheme: 'HTTPS',
  });
});

test('GPUs are asked for where GPUs are', () => {
  const [set] = ofKind('DaemonSet');
  const [agent] = podOf(set!).containers;
  expect(agent!['resources']).toMatchObject({ limits: { 'nvidia.com/gpu': 1 } });
  expect(podOf(set!)['nodeSelector']).toEqual({ 'nvidia.com/gpu.present': 'true' });
});
