/**
 * WayPlan: where devices connect, and what comes before their first frame: PROXY header and TLS.
 * From: the options of `run`.  To: the Plan; dialer.ts acts on it.
 * Bound: what does not fit together throws a UsageError. The files are read by dialer.ts.
 */
import { statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import type { OptionName, Reader } from './options.ts';
import type { TlsPlan, WayPlan } from './plan.ts';
import { hostPort, share, UsageError } from './units.ts';

const TLS_OPTIONS = {
  tlsCa: '--tls-ca',
  tlsServername: '--tls-servername',
  tlsVersion: '--tls-version',
  tlsCert: '--tls-cert',
  tlsKey: '--tls-key',
  tlsPsk: '--tls-psk',
  tlsResume: '--tls-resume',
} as const satisfies Partial<Record<OptionName, string>>;

/** Throws UsageError. */
export function readWay(read: Reader): WayPlan {
  const [target, unix] = [read.maybe('target'), read.maybe('unix')];
  const proxy = read.maybe('proxy');
  if (proxy !== undefined && proxy !== 'v1' && proxy !== 'v2') {
    throw new UsageError(`--proxy: '${proxy}' is not v1, v2`);
  }
  if (unix !== undefined && target !== undefined) {
    throw new UsageError('--target and --unix: devices connect to one of them');
  }
  if (unix !== undefined && read.maybe('source') !== undefined) {
    throw new UsageError('--source and --unix: a Unix socket has no addresses');
  }
  if (unix !== undefined) {
    return { host: '', port: 0, unix: resolve(unix), proxy, tls: readTls(read, '') };
  }
  if (target === undefined) throw new UsageError('--target HOST:PORT is needed');
  const { host, port } = hostPort('--target', target);
  return { host, port, unix: undefined, proxy, tls: readTls(read, host) };
}

function readTls(read: Reader, host: string): TlsPlan | undefined {
  if (!read.flag('tls')) {
    for (const [name, flag] of Object.entries(TLS_OPTIONS)) {
      if (read.isGiven(name as OptionName)) throw new UsageError(`${flag}: it needs --tls`);
    }
    return undefined;
  }
  const version = read.maybe('tlsVersion');
  if (version !== undefined && version !== '1.2' && version !== '1.3') {
    throw new UsageError(`--tls-version: '${version}' is not 1.2, 1.3`);
  }
  const ca = read.maybe('tlsCa');
  const named = read.maybe('tlsServername');
  return {
    // An address is no name: it is not sent to the server, and compared with the certificate's.
    servername: named ?? (isIP(host) === 0 ? host : ''),
    caFile: ca === undefined ? undefined : resolve(ca),
    ...readPair(read),
    version,
    ...readResumption(read),
  };
}

function readPair(read: Reader): Pick<TlsPlan, 'certPath' | 'keyPath'> {
  const [cert, key] = [read.maybe('tlsCert'), read.maybe('tlsKey')];
  if (cert === undefined && key === undefined) return { certPath: undefined, keyPath: undefined };
  if (cert === undefined) throw new UsageError('--tls-key: it belongs to a --tls-cert');
  const isFolder = isFolderAt(cert);
  if (key === undefined && !isFolder) throw new UsageError('--tls-cert: it needs its --tls-key');
  if (key !== undefined && isFolderAt(key) !== isFolder) {
    throw new UsageError('--tls-cert and --tls-key: two files, or two folders');
  }
  return { certPath: resolve(cert), keyPath: resolve(key ?? cert) };
}

function readResumption(read: Reader): Pick<TlsPlan, 'isPsk' | 'resumeShare'> {
  const isPsk = read.flag('tlsPsk');
  const resumeShare = share('--tls-resume', read.text('tlsResume'));
  if (isPsk && read.maybe('keys') === undefined) {
    throw new UsageError('--tls-psk: the keys come from --keys FILE');
  }
  if (isPsk && read.maybe('tlsCert') !== undefined) {
    throw new UsageError('--tls-psk and --tls-cert: a device proves itself by one of them');
  }
  if (isPsk && resumeShare > 0) {
    throw new UsageError('--tls-resume: what PSK has proved is not resumed, it is proved again');
  }
  return { isPsk, resumeShare };
}

/** What is not there is no folder; whoever reads it will say so. */
export function isFolderAt(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** The file of device `id`: the path itself, or the device's own in the folder. */
export function fileOf(path: string, id: string, ending: 'pem' | 'key'): string {
  return isFolderAt(path) ? join(path, `${id}.${ending}`) : path;
}
