/**
 * Finds a farm's certificate authority by its fingerprint, before anything secret is sent: the farm shows
 * its chain, and only the authority with just that SHA-256 is believed from then on.
 */
import { X509Certificate } from 'node:crypto';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { FurrowError, messageOf } from './furrow-error.ts';
import { FARM_SERVER_NAME, type Trust } from './trust.ts';

const HANDSHAKE_LIMIT_MS = 10_000;

/**
 * Asks the addresses one after another. FurrowError: unavailable FARM_UNREACHABLE; forbidden CA_MISMATCH
 * (somebody else answers there, or the farm was set up anew).
 */
export async function trustByPin(addresses: string, caSha256: string): Promise<Trust> {
  let failure: unknown;
  for (const address of addresses.split(',')) {
    try {
      return await trustAt(address, caSha256);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function trustAt(address: string, caSha256: string): Promise<Trust> {
  const chain = await chainAt(address);
  const authority = chain.find((certificate) => sha256Of(certificate) === caSha256);
  const [leaf] = chain;
  // The chain proves nothing yet: whoever connects next verifies that its key is behind it.
  if (leaf === undefined || authority === undefined || !leaf.verify(authority.publicKey)) {
    const message = `what answers at ${address} does not show the certificate authority of the URL: it is another farm, or was set up anew; get a new URL from it`;
    throw new FurrowError('forbidden', 'CA_MISMATCH', message);
  }
  const isOwn = leaf.checkHost(FARM_SERVER_NAME) !== undefined;
  return { state: 'tls', ca: authority.toString(), ...(isOwn && { serverName: FARM_SERVER_NAME }) };
}

function sha256Of(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

async function chainAt(address: string): Promise<X509Certificate[]> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  let socket: TLSSocket | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const options = { host, port: Number(address.slice(at + 1)), ALPNProtocols: ['h2'] };
      // Verified by the fingerprint instead.
      socket = connect({ ...options, rejectUnauthorized: false }, () =>
        resolve(certificatesOf(socket!.getPeerCertificate(true))),
      );
      socket.setTimeout(HANDSHAKE_LIMIT_MS, () => reject(new Error('no answer in time')));
      socket.once('error', reject);
    });
  } catch (error) {
    const message = `no farm answers at ${address} by TLS (${messageOf(error)}): is it running, and does a firewall let it through?`;
    throw new FurrowError('unavailable', 'FARM_UNREACHABLE', message, { cause: error });
  } finally {
    socket?.destroy();
  }
}

/** A self-signed authority names itself as its issuer: that is the end. */
function certificatesOf(leaf: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<string>();
  let each: DetailedPeerCertificate | undefined = leaf;
  while (each?.raw !== undefined && !seen.has(each.fingerprint256)) {
    seen.add(each.fingerprint256);
    chain.push(new X509Certificate(each.raw));
    each = each.issuerCertificate;
  }
  return chain;
}
