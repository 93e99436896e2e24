/**
 * TlsKinds: the ways in which a device's link can be secured, for three who have to agree on them:
 * a node (flags), a bare `node:tls` server and the devices (options). And the files for all.
 * From: a certificate authority of the bench's own; EC keys on P-256.  To: a folder.
 * Bound: one certificate for all devices: what is measured is a link, not who it is.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, DEFAULT_CIPHERS, type TlsOptions } from 'node:tls';
import { Tokens } from '../../loadgen/plan/tokens.ts';
import { newGroupKey } from '../../src/base/deviceKeys.ts';
import { Authority } from '../../test/helpers/processes/authority.ts';

export const KINDS = ['plain', 'tls12', 'tls13', 'mutual', 'psk'] as const;
export type Kind = (typeof KINDS)[number];

export const ABOUT: Readonly<Record<Kind, string>> = {
  plain: 'plain TCP',
  tls12: 'TLS 1.2',
  tls13: 'TLS 1.3',
  mutual: 'mutual TLS 1.3',
  psk: 'PSK, TLS 1.3',
};

const VERSION: Readonly<Record<Kind, 'TLSv1.2' | 'TLSv1.3'>> = {
  ...{ plain: 'TLSv1.3', tls12: 'TLSv1.2', tls13: 'TLSv1.3', mutual: 'TLSv1.3', psk: 'TLSv1.3' },
};

/** A folder with fixed names, which goes with `remove`. */
export function makeTlsFiles(): Authority {
  const authority = new Authority();
  for (const [name, who, san] of [
    ['server', 'localhost', 'DNS:localhost'],
    ['device', 'device', ''],
  ] as const) {
    const { cert, key } = authority.issue(who, { san });
    writeFileSync(authority.at(`${name}.pem`), cert);
    writeFileSync(authority.at(`${name}.key`), key, { mode: 0o600 });
  }
  const { at } = { at: (name: string) => authority.at(name) };
  const both = readFileSync(at('server.pem'), 'utf8') + readFileSync(at('server.key'), 'utf8');
  writeFileSync(at('haproxy.pem'), both, { mode: 0o600 });
  writeFileSync(at('keys.yaml'), `bench: ${newGroupKey()}\n`, { mode: 0o600 });
  return authority;
}

/** Of a node whose devices come in this way, by `--tls-port`. */
export function serverFlags(kind: Kind, folder: string): readonly string[] {
  if (kind === 'plain') return [];
  const at = (name: string) => join(folder, name);
  return [
    ...['--tls-port', '0', '--tls-cert', at('server.pem'), '--tls-key', at('server.key')],
    ...(kind === 'mutual' ? ['--tls-client-cert', 'require', '--tls-client-ca', at('ca.pem')] : []),
    ...(kind === 'psk' ? ['--auth', 'psk,none', '--keys', at('keys.yaml')] : ['--auth', 'none']),
  ];
}

const files = (folder: string, name: string) => ({
  cert: readFileSync(join(folder, `${name}.pem`)),
  key: readFileSync(join(folder, `${name}.key`)),
});

const authorityOf = (folder: string) => readFileSync(join(folder, 'ca.pem'));
const tokensOf = (folder: string) =>
  new Tokens({ keysFile: join(folder, 'keys.yaml'), keyId: undefined });

/** Of a bare server that does the same. */
export function serverOptions(kind: Kind, folder: string): TlsOptions {
  const tokens = tokensOf(folder);
  const pskCallback = (_: unknown, identity: string) =>
    tokens.psk(identity.slice(identity.indexOf('.') + 1)).psk;
  return {
    ...{ ...files(folder, 'server'), ca: [], allowHalfOpen: true, rejectUnauthorized: false },
    ...(kind === 'mutual' ? { requestCert: true, ca: authorityOf(folder) } : {}),
    ...(kind === 'psk'
      ? { pskCallback, ciphers: `${DEFAULT_CIPHERS.replace(':!PSK', '')}:PSK` }
      : {}),
  };
}

/** Of device `id`. */
export function deviceOptions(kind: Kind, folder: string): (id: string) => ConnectionOptions {
  const tokens = tokensOf(folder);
  const shared: ConnectionOptions = {
    ...{ servername: 'localhost', ca: authorityOf(folder) },
    ...{ minVersion: VERSION[kind], maxVersion: VERSION[kind] },
    ...(kind === 'mutual' ? files(folder, 'device') : {}),
  };
  if (kind !== 'psk') return () => shared;
  return (id) => ({
    ...{ ...shared, pskCallback: () => tokens.psk(id), checkServerIdentity: () => undefined },
    ciphers: 'TLS_AES_128_GCM_SHA256:PSK',
  });
}
