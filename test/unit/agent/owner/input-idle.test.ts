import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  InputIdle,
  hidIdleMs,
  keyboardInterrupts,
  sessionsIdleMs,
} from '../../../../agent/owner/input-idle.ts';

const NOW_MS = 1_800_000_000_000;
const INTERRUPTS = `            CPU0       CPU1
   1:       4321        679   IO-APIC    1-edge      i8042
   8:          1          0   IO-APIC    8-edge      rtc0
  12:         10          5   IO-APIC   12-edge      i8042
  16:     991234          0   IO-APIC   16-fasteoi   xhci-hcd:usb1
NMI:          0          0   Non-maskable interrupts
`;

let root: string;
let wallMs: number;
let monotonicMs: number;
let asked: string[];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'furrow-input-'));
  mkdirSync(join(root, 'pts'));
  [wallMs, monotonicMs] = [NOW_MS, 5_000];
  asked = [];
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function terminal(name: string, idleMs: number): void {
  writeFileSync(join(root, name), '');
  utimesSync(join(root, name), (NOW_MS - idleMs) / 1000, NOW_MS / 1000);
}

function reader(
  answers: Readonly<Record<string, string>> = {},
  platform: NodeJS.Platform = 'linux',
  environment: NodeJS.ProcessEnv = { DISPLAY: ':0' },
): InputIdle {
  return new InputIdle({
    platform,
    environment,
    wallMs: () => wallMs,
    monotonicMs: () => monotonicMs,
    devices: root,
    interrupts: join(root, 'interrupts'),
    run: async (program, args) => {
      asked.push([program, ...args].join(' '));
      return answers[`${program} ${args[0] ?? ''}`.trim()] ?? null;
    },
  });
}

test('a machine that tells nothing: undefined, and tools that are missing are asked once', async () => {
  const input = reader();
  expect(await input.read()).toBeUndefined();
  const first = [...asked];
  expect(first).toEqual(['xprintidle', 'loginctl list-sessions --no-legend']);
  expect(await input.read()).toBeUndefined();
  expect(asked).toEqual(first);
});

test('terminals: the last that was typed at counts; what is no terminal does not', async () => {
  terminal('tty1', 50_000);
  terminal('pts/0', 30_000);
  terminal('pts/7', 90_000);
  terminal('pts/ptmx', 0);
  terminal('tty', 0);
  terminal('ttyS0', 0);
  expect(await reader().read()).toBe(30_000);
});

test('a keyboard counts from the first look on, and anew with each key', async () => {
  writeFileSync(join(root, 'interrupts'), INTERRUPTS);
  const input = reader();
  expect(await input.read()).toBe(0);
  monotonicMs += 20_000;
  expect(await input.read()).toBe(20_000);
  writeFileSync(join(root, 'interrupts'), INTERRUPTS.replace('4321', '4322'));
  expect(await input.read()).toBe(0);
});

test.each([-3 * 3_600_000, 3 * 3_600_000])(
  'a clock that is set by %i ms tells nothing about the owner',
  async (setMs) => {
    terminal('pts/0', 30_000);
    writeFileSync(join(root, 'interrupts'), INTERRUPTS);
    const input = reader();
    monotonicMs += 60_000;
    wallMs += 60_000;
    expect(await input.read()).toBe(0);
    wallMs += setMs;
    for (const passedMs of [30_000, 30_000]) {
      monotonicMs += passedMs;
      wallMs += passedMs;
      await input.read();
    }
    expect(await input.read()).toBe(60_000);
    // Whoever types now is there, whatever the clock says.
    utimesSync(join(root, 'pts/0'), wallMs / 1000, NOW_MS / 1000);
    expect(await input.read()).toBe(0);
  },
);

test('sessions whose time lies in the future: a clock was set back, and nobody is there', async () => {
  const answers = {
    'loginctl list-sessions': '2 1000 ann seat0\n',
    'loginctl show-session': `Type=wayland\nState=active\nIdleHint=yes\nIdleSinceHint=${(NOW_MS + 3_600_000) * 1000}\n`,
  };
  const input = reader(answers, 'linux', {});
  expect(await input.read()).toBe(0);
  monotonicMs += 20_000;
  expect(await input.read()).toBe(20_000);
});

test('interrupts: those of the i8042, of all processors', () => {
  expect(keyboardInterrupts(INTERRUPTS)).toBe(4321 + 679 + 10 + 5);
  expect(keyboardInterrupts('  16:   5   IO-APIC   xhci-hcd:usb1\n')).toBeUndefined();
});

test('X11 says it exactly, and logind is not asked beside it', async () => {
  expect(await reader({ xprintidle: '4711\n' }).read()).toBe(4711);
  expect(asked).toEqual(['xprintidle']);
});

const sinceUs = (idleMs: number): number => (NOW_MS - idleMs) * 1000;
const ACTIVE = 'Type=wayland\nState=active\nIdleHint=no\nIdleSinceHint=0\n';
const IDLE = `Type=x11\nState=active\nIdleHint=yes\nIdleSinceHint=${sinceUs(600_000)}\n`;
const SSH = 'Type=tty\nState=active\nIdleHint=no\nIdleSinceHint=0\n';

test.each([
  [ACTIVE, 0],
  [IDLE, 600_000],
  [`${IDLE}\n${ACTIVE}`, 0],
  // Of sessions without a screen logind may say for ever that they are not idle.
  [`${IDLE}\n${SSH}`, 600_000],
  [SSH, undefined],
  [ACTIVE.replace('active', 'closing'), undefined],
  ['', undefined],
])('sessions %#', (answer, idleMs) => {
  expect(sessionsIdleMs(answer, NOW_MS)).toBe(idleMs);
});

test('logind is asked for its sessions, then of them', async () => {
  const answers = {
    'loginctl list-sessions': '    2 1000 ada  seat0 tty2\n   c1  120 gdm  seat0\n',
    'loginctl show-session': IDLE,
  };
  expect(await reader(answers, 'linux', {}).read()).toBe(600_000);
  expect(asked[1]).toMatch(/^loginctl show-session 2 c1 --property=Type/);
});

test('macOS: HIDIdleTime in nanoseconds; nothing else is looked at there, nor on Windows', async () => {
  const answer = '    | |   "HIDIdleTime" = 12345678901\n    | |   "HIDSystem" = 1\n';
  expect(hidIdleMs(answer)).toBe(12_345);
  terminal('tty1', 0);
  expect(await reader({ 'ioreg -c': answer }, 'darwin').read()).toBe(12_345);
  expect(await reader({}, 'win32').read()).toBeUndefined();
});
