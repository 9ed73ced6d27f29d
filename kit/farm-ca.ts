/**
 * The farm's own certificate authority and the certificates that its servers show. Loads an X.509
 * library: for coordinators and `furrow up`, not for what only connects.
 *
 * In the folder: ca.pem, ca-key.pem, server.pem (certificate and authority), server-key.pem. Whoever has
 * ca-key.pem can pass for the farm; a second coordinator needs a copy of the folder.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { FurrowError, messageOf } from './furrow-error.ts';
import { makePrivateFile, writePrivateFile } from './private-file.ts';
import { FARM_CA_NAME, FARM_SERVER_NAME } from './trust.ts';

export interface ServerIdentity {
  /** PEM: the certificate, and behind it the authority that signed it. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
}

export interface FarmCa {
  /** PEM. */
  readonly certificate: string;
  readonly keyPem: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const CA_DAYS = 20 * 365;
const SERVER_DAYS = 365;
/** A certificate is made anew when less than this is left of it. */
const RENEW_BEFORE_DAYS = 120;
/** Clocks of other machines may be late. */
const BACKDATED_MS = 2 * DAY_MS;
const KEY_KIND = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

x509.cryptoProvider.set(webcrypto);

/** The authority in the folder, made at the first start. FurrowError: what `readPrivate` throws. */
export async function ensureFarmCa(directory: string): Promise<FarmCa> {
  const bundle = join(directory, 'ca-key.pem');
  const made = await makeCaUnless(bundle);
  const text = made ?? (await readPrivate(bundle));
  const at = text.indexOf('-----BEGIN CERTIFICATE-----');
  if (at <= 0) {
    const message = `${bundle} does not hold a key and its certificate: bring it back from a copy, or remove ${directory} and let all agents join again`;
    throw new FurrowError('invalid', 'FARM_CA_MALFORMED', message);
  }
  const ca = { keyPem: text.slice(0, at), certificate: text.slice(at) };
  // For people and for other programs: only the key's file counts.
  await writePrivateFile(join(directory, 'ca.pem'), ca.certificate);
  return ca;
}

/** One file holds both, so that a crash cannot part them. */
async function makeCaUnless(path: string): Promise<string | undefined> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return undefined;
  const keys = await webcrypto.subtle.generateKey(KEY_KIND, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [`${FARM_CA_NAME} ${randomBytes(4).toString('hex')}`] }],
    notBefore: new Date(Date.now() - BACKDATED_MS),
    notAfter: new Date(Date.now() + CA_DAYS * DAY_MS),
    signingAlgorithm: SIGNATURE,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const text = `${await pemOfKey(keys.privateKey)}${certificate.toString('pem')}\n`;
  return (await makePrivateFile(path, text)) ? text : undefined;
}

/**
 * What a server of this machine shows, for these hosts besides all of the machine's own names and addresses;
 * made anew when it lacks one, was signed by another authority, or ends before long.
 */
export async function ensureServerIdentity(
  directory: string,
  ca: FarmCa,
  hosts: readonly string[],
  { file, days } = { file: 'server.pem', days: SERVER_DAYS },
): Promise<ServerIdentity> {
  const path = join(directory, file);
  const wanted = [...new Set([FARM_SERVER_NAME, ...hosts, ...ownHosts()])];
  const known = await readFile(path, 'utf8').catch(() => '');
  const found = identityIn(known, ca, wanted);
  if (found !== undefined) return found;
  const made = await makeServerIdentity(ca, wanted, days);
  await writePrivateFile(path, `${made.key}${made.certificate}`);
  return made;
}

/** SHA-256 of a certificate, as it is written in a farm's URL. */
export function fingerprintOf(certificatePem: string): string {
  return new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '').toLowerCase();
}

function identityIn(
  text: string,
  ca: FarmCa,
  wanted: readonly string[],
): ServerIdentity | undefined {
  const at = text.indexOf('-----BEGIN CERTIFICATE-----');
  if (at <= 0) return undefined;
  const identity = { key: text.slice(0, at), certificate: text.slice(at) };
  try {
    const certificate = new X509Certificate(identity.certificate);
    const signer = new X509Certificate(ca.certificate);
    const daysLeft = (Date.parse(certificate.validTo) - Date.now()) / DAY_MS;
    const isGood =
      daysLeft > RENEW_BEFORE_DAYS &&
      certificate.verify(signer.publicKey) &&
      wanted.every((host) => isNamed(certificate, host));
    return isGood ? identity : undefined;
  } catch {
    return undefined;
  }
}

function isNamed(certificate: X509Certificate, host: string): boolean {
  const named = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  return named !== undefined;
}

async function makeServerIdentity(
  ca: FarmCa,
  hosts: readonly string[],
  days: number,
): Promise<ServerIdentity> {
  const signer = new x509.X509Certificate(ca.certificate);
  const keys = await webcrypto.subtle.generateKey(KEY_KIND, true, ['sign', 'verify']);
  const names = hosts.map((host) => ({
    type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
    value: host,
  }));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: signer.subject,
    subject: [{ CN: [FARM_SERVER_NAME] }],
    notBefore: new Date(Date.now() - BACKDATED_MS),
    notAfter: new Date(Date.now() + days * DAY_MS),
    signingAlgorithm: SIGNATURE,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(signer.publicKey),
    ],
  });
  return {
    key: await pemOfKey(keys.privateKey),
    certificate: `${certificate.toString('pem')}\n${ca.certificate}`,
  };
}

/** Names and addresses that others may know this machine by. */
function ownHosts(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const name = hostname();
  const isUsable = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/.test(name);
  return [
    'localhost',
    '127.0.0.1',
    '::1',
    ...(isUsable ? [name.toLowerCase()] : []),
    // Of a link-local one only the machine itself knows the interface.
    ...addresses.map(({ address }) => address).filter((address) => !address.startsWith('fe80')),
  ];
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decodeFirst(pem);
  return webcrypto.subtle.importKey('pkcs8', der, KEY_KIND, true, ['sign']);
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key);
  return `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`;
}

/** Positive, as the standard wants it. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** FurrowError: not-found KEY_MISSING; forbidden KEY_EXPOSED, KEY_UNREADABLE. */
export async function readPrivate(path: string): Promise<string> {
  let text: string;
  let mode: number;
  try {
    ({ mode } = await stat(path));
    text = await readFile(path, 'utf8');
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw isMissing
      ? new FurrowError('not-found', 'KEY_MISSING', `there is no file ${path}`, { cause: error })
      : new FurrowError('forbidden', 'KEY_UNREADABLE', messageOf(error), { cause: error });
  }
  if ((mode & 0o077) !== 0) {
    const message = `others can read ${path}: run chmod 600 ${path}`;
    throw new FurrowError('forbidden', 'KEY_EXPOSED', message);
  }
  return text;
}
