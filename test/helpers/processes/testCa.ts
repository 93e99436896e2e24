/**
 * Test CA: certificates and revocation lists, made with openssl for one test.
 * From: common names.  To: files in PEM, in a folder of its own.
 * Bound: valid for 2 days; the folder goes with `remove`, at the latest with this process.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leashFolder } from './leash.ts';

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const DAYS = ['-days', '2'];

/** A certificate and its key, as texts. */
export interface Certified {
  readonly cert: string;
  readonly key: string;
}

export class TestCa {
  readonly folder = mkdtempSync(join(tmpdir(), 'owsla-ca-'));
  readonly #config = this.#file('ca.cnf');
  #serial = 0;

  constructor(name = 'Fleet CA') {
    leashFolder(this.folder);
    writeFileSync(this.#file('index.txt'), '');
    const ca = ['[ca]', 'default_ca = fleet', '[fleet]', `database = ${this.#file('index.txt')}`];
    const more = ['default_md = sha256', 'default_crl_days = 2', ''];
    writeFileSync(this.#config, [...ca, ...more].join('\n'));
    this.#run('req', '-x509', ...KEY, ...DAYS, ...this.#out('ca'), '-subj', `/CN=${name}`);
  }

  /** The CA's own certificate. */
  get cert(): string {
    return this.#read('ca.pem');
  }

  /** A certificate for this common name, for a client or the server `localhost`. */
  issue(commonName: string): Certified {
    this.#serial += 1;
    const name = `cert-${this.#serial}`;
    const by = ['-CA', this.#file('ca.pem'), '-CAkey', this.#file('ca.key')];
    const of = ['-subj', `/CN=${commonName}`, '-set_serial', String(this.#serial)];
    const san = ['-addext', 'subjectAltName = DNS:localhost'];
    this.#run('req', '-x509', '-utf8', ...KEY, ...DAYS, ...by, ...of, ...san, ...this.#out(name));
    return { cert: this.#read(`${name}.pem`), key: this.#read(`${name}.key`) };
  }

  revoke({ cert }: Certified): void {
    const file = this.save('revoked.pem', cert);
    this.#ca('-revoke', file);
  }

  /** The list of what is revoked now. */
  crl(): string {
    this.#ca('-gencrl', '-out', this.#file('ca.crl'));
    return this.#read('ca.crl');
  }

  /** Writes a file into the folder, and returns its path. */
  save(name: string, content: string): string {
    writeFileSync(this.#file(name), content, { mode: 0o600 });
    return this.#file(name);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #ca(...args: string[]): void {
    const by = ['-cert', this.#file('ca.pem'), '-keyfile', this.#file('ca.key')];
    this.#run('ca', '-config', this.#config, ...by, ...args);
  }

  #out(name: string): string[] {
    return ['-keyout', this.#file(`${name}.key`), '-out', this.#file(`${name}.pem`)];
  }

  #run(...args: string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #read(name: string): string {
    return readFileSync(this.#file(name), 'utf8');
  }

  #file(name: string): string {
    return join(this.folder, name);
  }
}
