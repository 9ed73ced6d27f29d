/** Tokens and invitations as lines. */
import { Role, type AccessToken } from '../../proto/gen/furrow/v1/farm_service.ts';
import type { Report } from '../report.ts';
import { formatAge, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

type Of<Kind extends Report['kind']> = Extract<Report, { readonly kind: Kind }>;

const ROLE_NAMES: Readonly<Partial<Record<Role, string>>> = {
  [Role.ROLE_ADMIN]: 'admin',
  [Role.ROLE_SUBMIT]: 'submit',
  [Role.ROLE_VIEW]: 'view',
  [Role.ROLE_AGENT]: 'agent',
};

export function roleName(role: Role): string {
  return ROLE_NAMES[role] ?? 'unknown';
}

/** The URL alone on its line: it is what scripts and people copy. */
export function tokenLines({ token, url }: Of<'token'>, style: Style, nowMs: number): string[] {
  const { id = '', role = Role.ROLE_UNSPECIFIED, owner = '', expiresAtMs = 0 } = token ?? {};
  const whose = owner === '' ? '' : `, for jobs of ${owner}`;
  return [
    url,
    style.dim(
      `token ${id}: ${roleName(role)}${whose}, ${endOf(expiresAtMs, nowMs)}; shown this once`,
    ),
  ];
}

export function invitationLines(
  { id, url, expiresAtMs }: Of<'invitation'>,
  style: Style,
  nowMs: number,
): string[] {
  return [
    `furrow join '${url}'`,
    style.dim(
      `for machines that shall join, ${endOf(expiresAtMs, nowMs)}; furrow token revoke ${id} ends it`,
    ),
  ];
}

export function tokenTable(
  tokens: readonly AccessToken[],
  style: Style,
  columns: number | undefined,
  nowMs: number,
): string[] {
  if (tokens.length === 0) return ["no tokens but the farm's own: furrow token create makes one"];
  return renderTable(
    tokens,
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'ROLE', cell: ({ role }) => roleName(role) },
      { title: 'OWNER', cell: ({ owner }) => owner || '-' },
      { title: 'ENDS', cell: ({ expiresAtMs }) => ending(expiresAtMs, nowMs) },
      { title: 'USED', cell: ({ usedAtMs }) => lastUse(usedAtMs, nowMs) },
      { title: 'LABEL', cell: ({ label }) => label || '-', flexible: true },
    ],
    style,
    columns,
  );
}

function endOf(expiresAtMs: number, nowMs: number): string {
  return expiresAtMs === 0 ? 'without an end' : `for ${formatDuration(expiresAtMs - nowMs)}`;
}

function ending(expiresAtMs: number, nowMs: number): string {
  if (expiresAtMs === 0) return 'never';
  return expiresAtMs <= nowMs ? 'expired' : `in ${formatDuration(expiresAtMs - nowMs)}`;
}

function lastUse(usedAtMs: number, nowMs: number): string {
  return usedAtMs === 0 ? 'never' : formatAge(nowMs - usedAtMs);
}
