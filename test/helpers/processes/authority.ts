/**
 * Authority: a certificate authority of a test's own, by the openssl of this machine.
 * From: tests of TLS.  To: PEM files in a temporary folder.
 * Bound: EC keys, so that a dozen certificates take a moment; the folder goes with `remove`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
}

export class Authority {
  readonly folder: string;
  readonly name: string;

  constructor(name = 'ca') {
    this.folder = mkdtempSync(join(tmpdir(), 'owsla-ca-'));
    this.name = name;
    writeFileSync(this.at('index'), '');
    writeFileSync(this.at('serial'), '1000\n');
    writeFileSync(this.at('number'), '01\n');
    writeFileSync(this.at('ca.conf'), this.#config());
    this.#run(
      ...['req', '-x509', ...NEW_KEY, '-keyout', this.caKeyFile, '-out', this.caFile],
      ...['-days', '30', '-subj', `/CN=${name}`],
    );
    this.revoke();
  }

  at(file: string): string {
    return join(this.folder, file);
  }

  get caFile(): string {
    return this.at('ca.pem');
  }

  get caKeyFile(): string {
    return this.at('ca.key');
  }

  /** Certificates that were revoked so far. */
  get crlFile(): string {
    return this.at('crl.pem');
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  #config(): string {
    return `[ca]
default_ca = own
[own]
database = ${this.at('index')}
serial = ${this.at('serial')}
crlnumber = ${this.at('number')}
new_certs_dir = ${this.folder}
certificate = ${this.at('ca.pem')}
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

  /** A certificate with this common name. */
  issue(commonName: string, { san = '', from, to }: IssueOptions = {}): Issued {
    const name = `${commonName}-${Math.random().toString(36).slice(2)}`;
    const [certFile, keyFile] = [this.at(`${name}.pem`), this.at(`${name}.key`)];
    const [request, extensions] = [this.at(`${name}.csr`), this.at(`${name}.ext`)];
    writeFileSync(extensions, `${san === '' ? '' : `subjectAltName=${san}`}\n`);
    this.#run('req', ...NEW_KEY, '-keyout', keyFile, '-out', request, '-subj', `/CN=${commonName}`);
    this.#run(
      ...['ca', '-batch', '-notext', '-config', this.at('ca.conf')],
      ...['-in', request, '-out', certFile, '-extfile', extensions],
      ...(from === undefined ? [] : ['-startdate', from]),
      ...(to === undefined ? [] : ['-enddate', to]),
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

  #run(command: string, ...args: readonly string[]): void {
    execFileSync('openssl', [command, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
