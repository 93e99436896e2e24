/**
 * AdminGuard: who may ask over HTTP: the token, the Host, the Origin.
 * From: admin.ts, each request.  To: the same: pass, or a refusal.
 * Bound: pure but for the token's file, which is read at the start and when files are read again.
 *
 * A page of another site can make a browser of this machine ask here: it sends its own Origin, or,
 * once its name was changed to our address, its own Host (DNS rebinding). Neither passes. Health
 * is exempt: load balancers send what they like.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { isLoopback } from '../base/listeners.ts';
import type { Logger } from '../base/log.ts';
import { readPrivate } from '../base/privateFile.ts';

/** As long as 128 random bits in base64. */
const TOKEN_LENGTH_MIN = 22;
/** What may stand in a header without quotes: RFC 6750, b64token. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** The token in the file. Throws a StartError (config) of one sentence without a word of it. */
export function readAdminToken(path: string): string {
  const fail = (why: string) => new StartError(EXIT.config, `the admin token file ${path} ${why}`);
  const token = readPrivate(path, fail).trim();
  if (token.length < TOKEN_LENGTH_MIN || !TOKEN.test(token)) {
    throw fail(`must hold one token of ${TOKEN_LENGTH_MIN} or more of A-Z a-z 0-9 . _ ~ + / -`);
  }
  return token;
}

export interface AdminRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** What a refused request is answered with. */
export interface AdminRefusal {
  readonly code: 401 | 403 | 421;
  readonly error: string;
}

export class AdminGuard {
  readonly #hosts: ReadonlySet<string>;
  /** Reading needs the token too: others than this machine can ask. */
  readonly #isOpen: boolean;
  readonly #path: string;
  /** Its SHA-256: of one length, whatever is compared with it. */
  #token: Buffer | undefined;

  /** Throws a StartError when the token cannot be read. */
  constructor(config: Pick<Config, 'adminHost' | 'adminHosts' | 'adminTokenFile' | 'isAdminOpen'>) {
    const { adminHost, adminHosts, adminTokenFile, isAdminOpen } = config;
    this.#hosts = new Set(
      ['localhost', adminHost, ...adminHosts].map((name) => name.toLowerCase()),
    );
    this.#isOpen = isAdminOpen || isLoopback(adminHost);
    this.#path = adminTokenFile;
    this.#read();
  }

  #read(): void {
    if (this.#path !== '') this.#token = digest(readAdminToken(this.#path));
  }

  /** Read the token again; one that cannot be used leaves the old one in use. */
  renew(log: Pick<Logger, 'info' | 'error'>): void {
    if (this.#path === '') return;
    try {
      this.#read();
      log.info({ files: [this.#path] }, 'files read again');
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      log.error({ reason: error.message }, 'files not read again: the old ones stay in use');
    }
  }

  /**
   * Undefined: it may pass. `needsToken`: true: also where others may read without one; false: what
   * is read there is no secret.
   */
  refusal({ method, url, headers }: AdminRequest, needsToken?: boolean): AdminRefusal | undefined {
    if (url.startsWith('/health/')) return undefined;
    const { host = '', origin, authorization = '' } = headers;
    if (!this.#isOurs(host)) return { code: 421, error: 'this Host is not one of --admin-hosts' };
    if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host) {
      return { code: 403, error: 'a page of another origin may not ask here' };
    }
    const isRead = method === 'GET' || method === 'HEAD';
    if (isRead && !(needsToken ?? !this.#isOpen)) return undefined;
    if (this.#isToken(authorization)) return undefined;
    return { code: 401, error: 'this needs the token of --admin-token-file' };
  }

  /** An address is no name that somebody else could have pointed here. */
  #isOurs(host: string): boolean {
    const name = host.replace(/:\d+$/, '').toLowerCase();
    return isIP(name.replace(/^\[|\]$/g, '')) !== 0 || this.#hosts.has(name);
  }

  #isToken(authorization: string): boolean {
    const [, given] = /^Bearer ([^ ]+)$/i.exec(authorization) ?? [];
    if (given === undefined || this.#token === undefined) return false;
    return timingSafeEqual(digest(given), this.#token);
  }
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
