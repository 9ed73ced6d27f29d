/** Proofs for people: one in full, several by a line each. */
import type { Check, ProofFacts, ProvenFile } from '../../kit/proof-report.ts';
import type { JobProof } from '../report.ts';
import { formatBytes, formatCount } from './format.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { printable } from './text-width.ts';

export function proofLines(
  proofs: readonly JobProof[],
  style: Style,
  columns: number | undefined,
): string[] {
  const [only] = proofs;
  if (only !== undefined && proofs.length === 1) return wholeProof(only, style, columns);
  return renderTable(
    proofs,
    [
      { title: 'PROOF', cell: ({ name }) => name },
      {
        title: 'OK',
        cell: ({ report }) => yesNo(report.ok),
        paint: (text, { report }) => paintOk(text, report.ok, style),
      },
      { title: 'CHECKS', cell: ({ report }) => held(report.checks), align: 'right' },
      { title: 'FILES', cell: ({ report }) => String(report.files.length), align: 'right' },
      {
        title: 'FINDING',
        cell: ({ report }) => report.checks.find((check) => !check.ok)?.finding ?? '',
        flexible: true,
      },
    ],
    style,
    columns,
  );
}

function wholeProof(
  { name, report }: JobProof,
  style: Style,
  columns: number | undefined,
): string[] {
  const verdict = paintOk(report.ok ? 'proven' : 'not proven', report.ok, style);
  const rows: [string, string][] = [
    [name, `${verdict}: ${held(report.checks)} checks hold`],
    ...report.files.slice(0, MOST_FILES).map(fileRow),
    ...(report.files.length > MOST_FILES
      ? [['', `and ${formatCount(report.files.length - MOST_FILES, 'more file')}`] satisfies Row]
      : []),
    ...factRows(report.facts),
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  const findings = report.checks.flatMap(({ finding }) =>
    finding === undefined ? [] : [style.red(printable(`finding: ${finding}`))],
  );
  return [
    ...rows.map(([title, text]) => `${style.dim(printable(title).padEnd(width))}  ${text}`),
    '',
    ...checkTable(report.checks, style, columns),
    ...findings,
  ];
}

type Row = [title: string, text: string];

/** A packaged film has hundreds of segments. */
const MOST_FILES = 12;

function fileRow({ name, sizeBytes, sha256 }: ProvenFile): Row {
  return ['file', `${printable(name)}  ${formatBytes(sizeBytes)}  sha256 ${printable(sha256)}`];
}

function factRows(facts: ProofFacts): Row[] {
  return Object.entries(facts).flatMap(([name, fact]): Row[] => {
    if (fact === undefined) return [];
    if (typeof fact !== 'object') return [[name, printable(String(fact))]];
    // The file's own line has said these.
    const parts = Object.entries(fact).filter(([key]) => !SAID_OF_FILES.has(key));
    return [[name, printable(parts.map(([key, value]) => `${key} ${String(value)}`).join(', '))]];
  });
}

const SAID_OF_FILES: ReadonlySet<string> = new Set(['name', 'sizeBytes', 'sha256']);

type Checked = Check & { readonly ok: boolean };

function checkTable(
  checks: readonly Checked[],
  style: Style,
  columns: number | undefined,
): string[] {
  return renderTable(
    checks,
    [
      { title: 'CHECK', cell: ({ check }) => check, flexible: true },
      { title: 'EXPECTED', cell: ({ expected }) => String(expected) },
      { title: 'FOUND', cell: ({ found }) => String(found) },
      {
        title: 'OK',
        cell: ({ ok }) => yesNo(ok),
        paint: (text, { ok }) => paintOk(text, ok, style),
      },
    ],
    style,
    columns,
  );
}

const held = (checks: readonly Checked[]): string =>
  `${checks.filter(({ ok }) => ok).length} of ${checks.length}`;

const yesNo = (ok: boolean): string => (ok ? 'yes' : 'no');

const paintOk = (text: string, ok: boolean, style: Style): string =>
  ok ? style.green(text) : style.red(text);
