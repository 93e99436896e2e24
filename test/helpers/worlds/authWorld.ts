/**
 * A real node that listens in every way there is, and what its devices show: certificates, keys,
 * tokens, PROXY headers.
 * From: test/system.  To: sockets that are on their way in, by the name of a listener.
 * Bound: `end` stops the node and removes its files.
 */
import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { newGroupKey, readGroupKeys } from '../../../src/base/deviceKeys.ts';
import { forgetTopology } from '../fakes/backend.ts';
import { Authority, type Issued } from '../processes/authority.ts';
import { type Broker, findBroker } from '../processes/broker.ts';
import { placeOf, Server, type ServerOptions } from '../processes/server.ts';

/** Who issues tokens: a key of each algorithm, and strangers of the same kinds. */
export const ISSUER = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};
export const STRANGER = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export type Alg = keyof typeof ISSUER;

export const pemOf = (key: KeyObject) => String(key.export({ type: 'spki', format: 'pem' }));

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with this header, signed as `by` says: by nobody, by a secret, or by a private key. */
export function jwtOf(claims: object, header: object, by?: KeyObject | string | Buffer): string {
  const signed = `${part(header)}.${part(claims)}`;
  if (by === undefined) return `${signed}.`;
  if (typeof by === 'string' || Buffer.isBuffer(by)) {
    return `${signed}.${createHmac('sha256', by).update(signed).digest('base64url')}`;
  }
  const digest = by.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const key = { key: by, dsaEncoding: 'ieee-p1363' } as const;
  return `${signed}.${sign(digest, Buffer.from(signed), key).toString('base64url')}`;
}

const seconds = () => Math.floor(Date.now() / 1_000);

/** A good token for this device but for what the claims say. */
export function goodJwt(device: string, claims: object = {}, alg: Alg = 'ES256'): string {
  const all = { sub: device, aud: 'owsla', exp: seconds() + 600, ...claims };
  return jwtOf(all, { alg }, ISSUER[alg].privateKey);
}

/** Files, and the node that reads them. */
export class AuthWorld {
  readonly authority = new Authority();
  /** With the same names and other keys. */
  readonly impostor = new Authority();
  readonly lab = new Authority({ name: 'Lab CA' });
  readonly prefix = `test-${randomUUID()}`;
  readonly runDir = this.authority.at('run');
  readonly keysText = `g1: ${newGroupKey()}\n`;
  readonly keysFile = this.authority.save('keys.yaml', this.keysText);
  readonly configFile = this.authority.at('owsla.yaml');
  readonly jwtFile = this.authority.save(
    'jwt.pem',
    Object.values(ISSUER)
      .map(({ publicKey }) => pemOf(publicKey))
      .join(''),
  );
  readonly served: Issued;
  readonly broker: Broker;
  server!: Server;

  private constructor(broker: Broker) {
    this.broker = broker;
    this.served = this.authority.issue('localhost', { san: 'DNS:localhost' });
  }

  /** `login`: the node's at the broker, if not the broker's own. */
  static async begin(
    options: Partial<ServerOptions> = {},
    login: (broker: Broker) => Promise<string> = async ({ url }) => url,
  ): Promise<AuthWorld> {
    const world = new AuthWorld(await findBroker());
    const { flags = [], ...others } = options;
    const amqp = await login(world.broker);
    const config = world.configFile;
    world.authority.save('owsla.yaml', JSON.stringify(world.#config()));
    world.server = await Server.start({
      ...{ amqp, prefix: world.prefix, ...others },
      flags: ['--config', config, '--run-dir', world.runDir, ...flags],
    });
    return world;
  }

  get groupKey(): KeyObject {
    return readGroupKeys(this.keysFile).get('g1') as KeyObject;
  }

  #config(): object {
    const { authority, lab } = this;
    const byOurCa = { 'client-ca': authority.caFile, crl: authority.crlFile };
    const proxied = { auth: ['cert', 'key'], 'cert-id': 'cn' };
    return {
      ...{ keys: this.keysFile, 'jwt-keys': this.jwtFile, 'jwt-audience': 'owsla' },
      ...{ 'tls-cert': this.served.certFile, 'tls-key': this.served.keyFile },
      listeners: [
        { name: 'by-cert', port: 0, auth: ['cert'], tls: { ...byOurCa, 'client-cert': 'require' } },
        {
          ...{ name: 'by-any', port: 0, auth: ['cert', 'psk', 'key', 'jwt'] },
          tls: { ...byOurCa, 'client-cert': 'request' },
        },
        {
          ...{ name: 'by-lab', port: 0, auth: ['cert'] },
          tls: { 'client-ca': lab.caFile, 'client-cert': 'require' },
        },
        { name: 'by-psk', port: 0, auth: ['psk'], tls: true },
        { name: 'by-key', port: 0, auth: ['key'] },
        { name: 'by-jwt', port: 0, auth: ['jwt'] },
        { name: 'by-backend', port: 0, auth: ['backend'] },
        { name: 'by-proxy', unix: authority.at('p.sock'), ...proxied },
        { name: 'by-proxy-tls', unix: authority.at('t.sock'), ...proxied, tls: true },
        {
          ...{ name: 'by-proxy-tcp', port: 0, auth: ['none'] },
          ...{ 'proxy-protocol': 'require', 'proxy-from': ['127.0.0.2/32'] },
        },
        { name: 'by-topic', port: 0, auth: ['none'], topics: ['room.#'] },
      ],
    };
  }

  /** A socket to this listener: TCP, or a Unix one. */
  plain(listener: string, localAddress?: string): Socket {
    const place = placeOf(this.server.log, listener);
    const [host, port] = place.split(':');
    const from = localAddress === undefined ? {} : { localAddress };
    const socket = place.startsWith('/')
      ? connect(place)
      : connect({ host: host as string, port: Number(port), ...from });
    return socket.on('error', () => {});
  }

  /** The same with TLS, of which the server's certificate is not looked at. */
  tls(listener: string, options: ConnectionOptions = {}, before?: Uint8Array): TLSSocket {
    const raw = this.plain(listener);
    if (before !== undefined) raw.write(before);
    const socket = connectTls({
      ...{ socket: raw, servername: 'localhost', rejectUnauthorized: false },
      ...options,
    });
    return socket.on('error', () => {});
  }

  async end(): Promise<void> {
    await this.server?.stop();
    await forgetTopology(this.broker.url, this.prefix);
    await this.broker.stop();
    for (const one of [this.authority, this.impostor, this.lab]) one.remove();
  }
}
