/**
 * Runs the real supervisor over fake children: `superviseFake.ts ACCEPTORS NAME=VALUE...`. A reload
 * finds FAKE_PROOF: how many acceptors there are to be, or a sentence that refuses it.
 */
import { join } from 'node:path';
import { makeConfig } from '../../../src/base/config.ts';
import { StartError } from '../../../src/base/errors.ts';
import { makeLogger } from '../../../src/base/log.ts';
import { supervise } from '../../../src/supervisor/supervisor.ts';

const [acceptors = '1', ...pairs] = process.argv.slice(2);
const set = Object.fromEntries(pairs.map((pair) => pair.split('=')));
const config = makeConfig({ acceptors, set });
const log = makeLogger('info', { role: 'supervisor' });

const entry = join(import.meta.dirname, 'fakeChild.ts');

async function prove() {
  const proof = process.env.FAKE_PROOF ?? acceptors;
  if (!/^\d+$/.test(proof)) throw new StartError(64, proof);
  return { entry, config: { ...config, acceptors: Number(proof), adminTokenFile: 'next' } };
}

try {
  process.exitCode = await supervise(config, log, { entry, prove });
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`owsla: ${error.message}\n`);
  process.exitCode = error.exitCode;
}
