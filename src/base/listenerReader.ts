/**
 * ListenerReader: one entry of the list `listeners` in the config file, taken strictly.
 * From: config.ts, with what YAML made of it.  To: listeners.ts.
 * Bound: pure; what it does not know it refuses, each fault in one sentence.
 */
import { resolve } from 'node:path';
import {
  type AuthMethod,
  CERT_IDS,
  CLIENT_CERTS,
  isModule,
  type ListenerConfig,
  PROTOCOL_WORDS,
  readAuth,
  TLS_VERSIONS,
  type TlsConfig,
  UNIX_MODE,
  type Unnamed,
} from './listeners.ts';
import { didYouMean } from './units.ts';

const MODULE_NAME = /\.[cm]?[jt]s$/;

/** Takes one entry of the file's list, strictly. */
export class ListenerReader {
  readonly #label: string;
  readonly #faults: string[];
  readonly #raw: Record<string, unknown>;
  readonly #isMap: boolean;
  readonly #known = new Set<string>();

  constructor(raw: unknown, label: string, faults: string[]) {
    const isMap = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
    if (!isMap) faults.push(`${label} must be a map, such as name: devices, port: 7000`);
    this.#isMap = isMap;
    this.#raw = isMap ? (raw as Record<string, unknown>) : {};
    this.#label = label;
    this.#faults = faults;
  }

  /** `plain` and `tlsOfAll`: what holds for all listeners. Undefined: there are faults. */
  read(plain: Unnamed, tlsOfAll: TlsConfig): ListenerConfig | undefined {
    if (!this.#isMap) return undefined;
    const before = this.#faults.length;
    const name = this.#name();
    const unix = this.#path('unix', '');
    const tls = this.#tls(tlsOfAll);
    const proxy = unix === '' ? 'none' : 'require';
    const one: ListenerConfig = {
      ...plain,
      name,
      host: unix === '' ? this.#text('host', plain.host) : '',
      port: unix === '' ? this.#port() : 0,
      unix,
      mode: this.#mode(),
      protocol: this.#protocol(),
      ...(tls ? { tls } : {}),
      proxyProtocol: this.#word('proxy-protocol', ['none', 'require'], proxy),
      proxyFrom: this.#list('proxy-from', []),
      auth: this.#auth(plain.auth),
      certId: this.#word('cert-id', CERT_IDS, plain.certId),
      keys: this.#path('keys', plain.keys),
      jwtKeys: this.#path('jwt-keys', plain.jwtKeys),
      jwtAudience: this.#text('jwt-audience', plain.jwtAudience),
      topics: this.#list('topics', []),
      tokensInClear: this.#truth('tokens-in-clear', plain.tokensInClear),
    };
    this.#refuseUnknown();
    return this.#faults.length === before ? one : undefined;
  }

  #fault(sentence: string): void {
    this.#faults.push(`${this.#label} ${sentence}`);
  }

  #take(key: string): unknown {
    this.#known.add(key);
    return this.#raw[key];
  }

  #refuseUnknown(): void {
    const known = [...this.#known];
    for (const key of Object.keys(this.#raw)) {
      if (known.includes(key)) continue;
      this.#fault(`has the unknown key ${JSON.stringify(key)}${didYouMean(key, known)}`);
    }
  }

  #name(): string {
    const name = this.#take('name');
    if (typeof name === 'string' && /^[a-z0-9][a-z0-9-]{0,31}$/.test(name)) return name;
    this.#fault('needs a name of 1 to 32 of a-z 0-9 -');
    return '';
  }

  #text(key: string, otherwise: string): string {
    const value = this.#take(key) ?? otherwise;
    if (typeof value === 'string') return value;
    this.#fault(`has a ${key} that is no text`);
    return otherwise;
  }

  #path(key: string, otherwise: string): string {
    const text = this.#text(key, otherwise);
    return text === '' ? '' : resolve(text);
  }

  #port(): number {
    const value = this.#take('port');
    if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535) {
      return Number(value);
    }
    this.#fault('needs a port from 0 to 65535, or unix with a path');
    return 0;
  }

  #mode(): number {
    const value = this.#take('mode') ?? '0660';
    const text = typeof value === 'string' ? value : '';
    if (/^0[0-7]{3}$/.test(text)) return Number.parseInt(text, 8);
    this.#fault('has a mode that is none: write it as "0660", in quotes');
    return UNIX_MODE;
  }

  #truth(key: string, otherwise: boolean): boolean {
    const value = this.#take(key) ?? otherwise;
    if (typeof value !== 'boolean') this.#fault(`has ${key}, which must be true or false`);
    return value === true;
  }

  #word<W extends string>(key: string, words: readonly W[], otherwise: W): W {
    const value = this.#take(key) ?? otherwise;
    const found = words.find((word) => word === String(value));
    if (found === undefined) this.#fault(`has a ${key} that is none of ${words.join(', ')}`);
    return found ?? otherwise;
  }

  #list(key: string, otherwise: readonly string[]): readonly string[] {
    const value = this.#take(key) ?? otherwise;
    const list = typeof value === 'string' ? value.split(',') : value;
    // Of an empty list, nothing and everything are both a way to read it.
    if (value !== otherwise && Array.isArray(list) && list.length === 0) {
      this.#fault(`has an empty list as ${key}: leave it out, or say what is in it`);
      return otherwise;
    }
    if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
    this.#fault(`has a ${key} that is no list of texts`);
    return otherwise;
  }

  #auth(otherwise: readonly AuthMethod[]): readonly AuthMethod[] {
    const words = this.#list('auth', otherwise);
    const methods = readAuth(words);
    if (typeof methods !== 'string') return methods;
    this.#fault(`has auth, which ${methods}`);
    return otherwise;
  }

  #protocol(): string {
    const word = this.#text('protocol', 'owsla');
    if (isModule(word)) return resolve(word);
    if (PROTOCOL_WORDS.some((known) => known === word)) return word;
    if (MODULE_NAME.test(word)) {
      this.#fault(`has the protocol ${word}: write a module of your own with its path, ./${word}`);
    } else {
      const near = didYouMean(word, PROTOCOL_WORDS);
      this.#fault(`has the unknown protocol ${JSON.stringify(word)}${near}`);
    }
    return 'owsla';
  }

  #tls(defaults: TlsConfig): TlsConfig | undefined {
    const raw = this.#take('tls');
    if (raw === undefined || raw === false) return undefined;
    if (raw === true) return defaults;
    const inner = new ListenerReader(raw, `${this.#label}.tls`, this.#faults);
    const tls: TlsConfig = {
      cert: inner.#path('cert', defaults.cert),
      key: inner.#path('key', defaults.key),
      clientCa: inner.#path('client-ca', defaults.clientCa),
      crl: inner.#path('crl', defaults.crl),
      clientCert: inner.#word('client-cert', CLIENT_CERTS, defaults.clientCert),
      min: inner.#word('min', TLS_VERSIONS, defaults.min),
    };
    inner.#refuseUnknown();
    return tls;
  }
}
