/** KeptFiles: what is on disk is tried whenever it has changed, and what was good is kept. */
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { KeptFiles } from '../../src/supervisor/keptFiles.ts';
import { Authority } from '../helpers/processes/authority.ts';

const authority = new Authority();
t.teardown(() => authority.remove());
const good = authority.issue('owsla.example');
const [certFile, keyFile] = [authority.at('weak.pem'), authority.at('weak.key')];
// A pair that can be read, and that OpenSSL refuses for TLS.
const weak = ['-newkey', 'rsa:512', '-nodes', '-keyout', keyFile, '-out', certFile, '-days', '30'];
execFileSync('openssl', ['req', '-x509', ...weak, '-subj', '/CN=weak'], { stdio: 'ignore' });
const PAIRS = {
  good: { cert: good.cert, key: good.key },
  weak: { cert: authority.read('weak.pem'), key: authority.read('weak.key') },
};

function write(pair: keyof typeof PAIRS) {
  const { cert, key } = PAIRS[pair];
  return { 'tls-cert': authority.save('on.pem', cert), 'tls-key': authority.save('on.key', key) };
}

t.test('kept files: of a pair that OpenSSL refuses, each look says so', async (t) => {
  const files = write('good');
  const { listeners } = makeConfig({ ...files, 'tls-port': '7443' });
  const kept = new KeptFiles(listeners, Date.now);
  t.same(kept.look(), {});
  write('weak');
  const why = `the file ${files['tls-cert']} cannot be used for TLS (ERR_SSL_EE_KEY_TOO_SMALL)`;
  const texts = { [files['tls-cert']]: good.cert, [files['tls-key']]: good.key };
  for (let looks = 0; looks < 2; looks += 1)
    t.match(kept.look(), { 'devices-tls': { why, texts } });
  write('good');
  t.same(kept.look(), {}, 'and once it is mended, nothing is kept for anybody');
});

t.test('kept files: of a pair that was never good, nothing is kept', async (t) => {
  const { listeners } = makeConfig({ ...write('weak'), 'tls-port': '7443' });
  t.same(new KeptFiles(listeners, Date.now).look(), {});
});

t.test('kept files: what was good before ends with its certificate', async (t) => {
  const { listeners } = makeConfig({ ...write('good'), 'tls-port': '7443' });
  let wall = Date.now();
  const kept = new KeptFiles(listeners, () => wall);
  wall += 100 * 365 * 86_400_000;
  t.match(kept.look(), { 'devices-tls': { why: /ended at/, at: Number } });
});
