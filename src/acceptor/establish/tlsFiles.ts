/**
 * TlsFiles: certificate, key, CA and revocation list of one listener, read and proved to fit.
 * From: the PEM files that the config names.  To: tlsServer.ts, in each acceptor; preflight.ts, so
 * that a node does not start with files that cannot work.
 * Bound: TLS_FILE_BYTES_MAX each. No sentence has a word of a file's content.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { EXIT, StartError } from '../../base/errors.ts';
import type { TlsConfig } from '../../base/listeners.ts';
import { type ReadVia, readNow } from '../../base/privateFile.ts';
import { type Crl, readCrl } from '../identity/crl.ts';

export interface TlsFiles {
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly clientCa: string | undefined;
  readonly crl: string | undefined;
  /** Those in clientCa. */
  readonly authorities: readonly X509Certificate[];
  readonly revoked: Crl | undefined;
  /** notAfter of the server's certificate, ms since 1970; undefined: there is none. */
  readonly endsAt: number | undefined;
  /** The same of the CA of devices' certificates: the first one in its file. */
  readonly caEndsAt: number | undefined;
}

export interface ReadHow {
  readonly via?: ReadVia;
  /**
   * Is asked once all of them are read. True: they were tried before, and a context, which is dear,
   * is not made for that again.
   */
  readonly isProved?: () => boolean;
}

/** Not by an import, with which Node reads all CAs of the web at each start. */
const { createSecureContext } = process.getBuiltinModule('node:tls');
/** A CRL of a large fleet has some 40 bytes for each certificate. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const TLS_FILE_BYTES_MAX = 64 * 1_024 * 1_024;

/** Throws a StartError (config) that names the file and what is wrong with it. */
export function readTlsFiles(config: TlsConfig, now: number, how: ReadHow = {}): TlsFiles {
  const textOf = (path: string) =>
    path === '' ? undefined : (how.via ?? readNow)(path, () => read(path));
  const cert = textOf(config.cert);
  const key = textOf(config.key);
  const clientCa = textOf(config.clientCa);
  const crl = textOf(config.crl);
  const leaf = cert === undefined ? undefined : certificateOf(config.cert, cert);
  const authorities = clientCa === undefined ? [] : authoritiesOf(config.clientCa, clientCa);
  if (leaf !== undefined && key !== undefined) checkPair(config, leaf, key);
  const endsAt = leaf === undefined ? undefined : leaf.validToDate.getTime();
  if (leaf !== undefined && endsAt !== undefined) checkDates(config.cert, leaf, now);
  const revoked = crl === undefined ? undefined : revokedOf(config.crl, crl);
  try {
    if (!how.isProved?.()) createSecureContext(contextOf({ cert, key, clientCa, crl }));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw fault(config.cert, `cannot be used for TLS (${code ?? 'OpenSSL refuses it'})`);
  }
  const caEndsAt = authorities[0]?.validToDate.getTime();
  return { cert, key, clientCa, crl, authorities, revoked, endsAt, caEndsAt };
}

/** As `node:tls` takes them; what is undefined is left out, for it would count as given. */
export function contextOf(files: Pick<TlsFiles, 'cert' | 'key' | 'clientCa' | 'crl'>) {
  const { cert, key, clientCa, crl } = files;
  return {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // Without one, Node would take all CAs of the web for those of our devices.
    ca: clientCa ?? [],
    ...(crl === undefined ? {} : { crl }),
  };
}

function fault(path: string, why: string): StartError {
  return new StartError(EXIT.config, `the file ${path} ${why}`);
}

function read(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > TLS_FILE_BYTES_MAX) throw fault(path, `has over ${TLS_FILE_BYTES_MAX} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw fault(path, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function certificateOf(path: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw fault(path, 'holds no certificate in PEM');
  }
}

function authoritiesOf(path: string, pem: string): X509Certificate[] {
  const blocks = pem.match(CERTIFICATE) ?? [pem];
  return blocks.map((one) => certificateOf(path, one));
}

function checkPair(config: TlsConfig, leaf: X509Certificate, pem: string): void {
  let isPair: boolean;
  try {
    isPair = leaf.checkPrivateKey(createPrivateKey(pem));
  } catch {
    throw fault(config.key, 'holds no private key in PEM that can be used without a passphrase');
  }
  if (!isPair) throw fault(config.key, `is not the key of the certificate ${config.cert}`);
}

/** One that has ended serves nobody; one that begins later is most often a wrong clock. */
function checkDates(path: string, leaf: X509Certificate, now: number): void {
  if (leaf.validToDate.getTime() <= now) throw fault(path, `ended at ${leaf.validTo}`);
  if (leaf.validFromDate.getTime() > now) throw fault(path, `begins at ${leaf.validFrom} only`);
}

function revokedOf(path: string, pem: string): Crl {
  try {
    return readCrl(pem);
  } catch (error) {
    throw fault(path, (error as Error).message);
  }
}
