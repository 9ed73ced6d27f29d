/** The Dockerfiles and compose.yaml, as far as they can be judged without a Docker. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { validate } from 'dockerfile-utils';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { acceptedLine, knowsCommand } from '../../support/accepted-line.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const DOCKER = join(ROOT, 'deploy', 'docker');
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const PORTS = [7400, 7401, 7402];

interface Instruction {
  readonly keyword: string;
  readonly rest: string;
}

function instructions(text: string): readonly Instruction[] {
  const lines = text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
    .split('\n');
  return lines.flatMap((line) => {
    const [, keyword, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return keyword === undefined ? [] : [{ keyword, rest: rest! }];
  });
}

/** What a stage inherits from `FROM` on; the last one is what is shipped. */
function lastStage(all: readonly Instruction[]): readonly Instruction[] {
  return all.slice(all.findLastIndex(({ keyword }) => keyword === 'FROM'));
}

function one(stage: readonly Instruction[], keyword: string): string {
  const found = stage.filter((each) => each.keyword === keyword).map(({ rest }) => rest);
  expect(found).toHaveLength(1);
  return found[0]!;
}

const dockerfiles = readdirSync(DOCKER).filter((name) => name.endsWith('.Dockerfile'));

describe.each(dockerfiles)('%s', (name) => {
  const text = readFileSync(join(DOCKER, name), 'utf8');
  const all = instructions(text);
  const shipped = lastStage(all);

  test('is a Dockerfile without warnings', () => {
    expect(
      validate(text).map(({ message, range }) => ({ line: range.start.line + 1, message })),
    ).toEqual([]);
  });

  test('names the very version of every image it begins with', () => {
    const images = all.filter(({ keyword }) => keyword === 'FROM').map(({ rest }) => rest);
    expect(images.length).toBeGreaterThan(1);
    for (const image of images) expect(image).toMatch(/^[\w./-]+:\d+\.\d+\.\d+[\w.-]*( AS \w+)?$/);
  });

  test('runs as a user without rights, whom Kubernetes can tell from root', () => {
    expect(one(shipped, 'USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const [uid] = one(shipped, 'USER').split(':');
    expect(shipped.some(({ rest }) => rest.includes(`useradd --system --uid ${uid} `))).toBe(true);
  });

  test('is asked how it does, and told when to end', () => {
    expect(one(shipped, 'HEALTHCHECK')).toMatch(/^--interval=.* --timeout=.* CMD \[/);
    expect(one(shipped, 'STOPSIGNAL')).toBe('SIGTERM');
  });

  test('holds no secret, and takes only the package from what built it', () => {
    expect(text).not.toMatch(/^(ARG|ENV)\b.*(TOKEN|SECRET|PASSWORD|_KEY)/im);
    const copied = shipped.filter(({ keyword }) => keyword === 'COPY').map(({ rest }) => rest);
    expect(copied.filter((rest) => rest.startsWith('--from=package'))).toEqual([
      '--from=package /opt/furrow /opt/furrow',
    ]);
  });

  test('starts what the program knows', async () => {
    const [init, dashes, program] = JSON.parse(one(shipped, 'ENTRYPOINT'));
    expect([init, dashes, program]).toEqual(['tini', '--', 'furrow']);
    await acceptedLine(JSON.parse(one(shipped, 'CMD')));
    const [health, ...line] = JSON.parse(one(shipped, 'HEALTHCHECK').replace(/^.*? CMD /, ''));
    if (health === 'furrow') await acceptedLine(line);
    expect(['furrow.sh', ...readdirSync(DOCKER)]).toContain(`${health}.sh`);
  });

  test('installs the package by its lock file, without the tools that built it', () => {
    expect(text).toContain('cp package-lock.json .npmrc /opt/furrow/');
    expect(text).toMatch(/WORKDIR \/opt\/furrow\n(#.*\n)*RUN npm ci --omit=dev/);
  });
});

test('the ports that the coordinator offers are those that it listens on unless told otherwise', async () => {
  const exposed = instructions(readFileSync(join(DOCKER, 'coordinator.Dockerfile'), 'utf8')).find(
    ({ keyword }) => keyword === 'EXPOSE',
  );
  expect(exposed?.rest.split(' ').map(Number)).toEqual(PORTS);
  const { options } = await acceptedLine(['coordinator']);
  expect([options['grpcPort'], options['httpPort']]).toEqual(PORTS.slice(0, 2));
  expect(options['nats']).toEqual([`nats://127.0.0.1:${PORTS[2]}`]);
});

interface Service {
  readonly image: string;
  readonly build: { readonly context: string; readonly dockerfile: string };
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly [key: string]: unknown;
}

describe('compose.yaml', () => {
  const path = join(ROOT, 'deploy', 'compose.yaml');
  const text = readFileSync(path, 'utf8');
  const compose = parse(text, { merge: true });
  const services = Object.entries(compose.services as Record<string, Service>);

  test('has a service for each image', () => {
    const built = services.map(([, { build }]) =>
      join(ROOT, 'deploy', build.context, build.dockerfile),
    );
    expect(built.toSorted()).toEqual(dockerfiles.map((name) => join(DOCKER, name)).toSorted());
  });

  test.each(services)(
    '%s is limited, watched, started again and has no rights',
    (_name, service) => {
      expect(service).toMatchObject({
        restart: 'unless-stopped',
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        cpus: expect.anything(),
        mem_limit: expect.stringMatching(/\d+g\b/),
        pids_limit: expect.any(Number),
        stop_grace_period: expect.stringMatching(/^\d+s$/),
        healthcheck: { test: expect.arrayContaining(['CMD']), interval: expect.anything() },
      });
      expect(service.image.endsWith(`:${version}`)).toBe(true);
    },
  );

  test.each(services)('%s is started by a line that the program takes', async (_name, service) => {
    await acceptedLine(service.command.map(filledIn), service.environment && filledIns(service));
  });

  test.each(services)('%s keeps its state in a volume that is declared', (_name, service) => {
    const [volume, folder] = service.volumes[0]!.split(':');
    expect(Object.keys(compose.volumes)).toContain(volume);
    expect(folder).toBe('/var/lib/furrow');
  });

  test('lets in what the coordinator listens on, and no more', () => {
    expect(services.flatMap(([, { ports }]) => ports ?? [])).toEqual(
      PORTS.map((port) => `${port}:${port}`),
    );
  });

  test('holds no secret', () => {
    expect(text).not.toMatch(/TOKEN|SECRET|PASSWORD/);
  });
});

/** As Compose does it where the variable is not set. */
function filledIn(text: string): string {
  return text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
}

function filledIns({ environment = {} }: Service): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).map(([key, text]) => [key, filledIn(text)]),
  );
}

test('every line of furrow in the head of a file in deploy/ names a command that there is', () => {
  const heads = [
    'compose.yaml',
    'kubernetes/kustomization.yaml',
    'systemd/furrow-coordinator.service',
  ];
  const named = heads.flatMap((name) => {
    const text = readFileSync(join(ROOT, 'deploy', name), 'utf8');
    return [...text.matchAll(/^#.*\bfurrow (up|agent|join|status|token)\b/gm)].map(
      ([, word]) => word!,
    );
  });
  expect(named.filter((name) => !knowsCommand(name))).toEqual([]);
});
