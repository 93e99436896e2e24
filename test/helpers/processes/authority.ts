/**
 * Authority: a certificate authority of a test's own, by the openssl of this machine.
 * From: tests of TLS, in process or behind a proxy.  To: PEM, as texts and as files in a folder.
 * Bound: EC keys, so that a dozen certificates take a moment; the folder goes with `remove`, at the
 * latest with this process.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leashFolder } from './leash.ts';

/** A certificate and its key, as texts and as files. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface IssueOptions {
  /** As openssl writes it: `URI:urn:device:door-1,DNS:door-1`. '': none. */
  readonly san?: string;
  /** `YYYYMMDDHHMMSSZ`. */
  readonly from?: string;
  readonly to?: string;
  /** Further extensions, as lines of openssl's. */
  readonly more?: readonly string[];
  /** Whose certificate signs it, instead of the authority's own. */
  readonly by?: Issued;
}

export interface AuthorityOptions {
  readonly name?: string;
  readonly key?: 'ec' | 'rsa';
}

const NEW_KEY = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
  rsa: ['-newkey', 'rsa:2048', '-nodes'],
};

export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'owsla-ca-'));
  #issued = 0;

  constructor({ name = 'Fleet CA', key = 'ec' }: AuthorityOptions = {}) {
    leashFolder(this.folder);
    this.save('index', '');
    this.save('serial', '1000\n');
    this.save('number', '01\n');
    this.save('ca.conf', this.#config());
    const out = ['-keyout', this.at('ca.key'), '-out', this.caFile];
    this.#run('req', '-x509', ...NEW_KEY[key], ...out, '-days', '30', '-subj', `/CN=${name}`);
    this.revoke();
  }

  at(file: string): string {
    return join(this.folder, file);
  }

  /** Writes a file into the folder, for its owner only, and returns its path. */
  save(file: string, content: string): string {
    writeFileSync(this.at(file), content, { mode: 0o600 });
    return this.at(file);
  }

  read(file: string): string {
    return readFileSync(this.at(file), 'utf8');
  }

  get caFile(): string {
    return this.at('ca.pem');
  }

  /** Certificates that were revoked so far. */
  get crlFile(): string {
    return this.at('crl.pem');
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  get crl(): string {
    return readFileSync(this.crlFile, 'utf8');
  }

  #config(): string {
    return `[ca]
default_ca = own
[own]
database = ${this.at('index')}
serial = ${this.at('serial')}
crlnumber = ${this.at('number')}
new_certs_dir = ${this.folder}
certificate = ${this.caFile}
private_key = ${this.at('ca.key')}
default_md = sha256
default_days = 20
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = optional
[req]
distinguished_name = any
`;
  }

  /** A certificate with this common name, in which `,`, `=`, `/` and `+` stand behind a `\`. */
  issue(commonName: string, options: IssueOptions = {}): Issued {
    const { san = '', from, to, more = [], by } = options;
    this.#issued += 1;
    const name = `issued-${this.#issued}`;
    const [certFile, keyFile] = [this.at(`${name}.pem`), this.at(`${name}.key`)];
    const request = this.at(`${name}.csr`);
    const lines = [...(san === '' ? [] : [`subjectAltName=${san}`]), ...more, ''];
    const extensions = this.save(`${name}.ext`, lines.join('\n'));
    const subject = ['-utf8', '-subj', `/CN=${commonName}`];
    this.#run('req', ...NEW_KEY.ec, '-keyout', keyFile, '-out', request, ...subject);
    this.#run(
      ...['ca', '-batch', '-notext', '-utf8', '-config', this.at('ca.conf')],
      ...['-in', request, '-out', certFile, '-extfile', extensions],
      ...(from === undefined ? [] : ['-startdate', from]),
      ...(to === undefined ? [] : ['-enddate', to]),
      ...(by === undefined ? [] : ['-cert', by.certFile, '-keyfile', by.keyFile]),
    );
    const [cert, key] = [readFileSync(certFile, 'utf8'), readFileSync(keyFile, 'utf8')];
    return { cert, key, certFile, keyFile };
  }

  /** Write the list of the revoked again, with these. */
  revoke(...issued: readonly Issued[]): void {
    const config = ['-config', this.at('ca.conf')];
    for (const { certFile } of issued) this.#run('ca', ...config, '-revoke', certFile);
    this.#run('ca', ...config, '-gencrl', '-out', this.crlFile);
  }

  #run(...args: readonly string[]): void {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
