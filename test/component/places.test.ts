/** Ports that are picked: between the pick and the children's listen nobody else picks the same. */
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { checkPort, reservePort } from '../../src/supervisor/places.ts';
import { at } from '../helpers/processes/programs.ts';

const ofAnotherProcess = (port: number) =>
  execFileSync(process.execPath, [
    '--input-type=module',
    `--eval=import { reservePort } from '${at('src/supervisor/places.ts')}';
    console.log(await reservePort(${port}))`,
  ])
    .toString()
    .trim();

t.test('places: a picked port is nobody else’s, here and in other processes', async (t) => {
  const port = await checkPort('port', '127.0.0.1', 0);
  t.equal(await reservePort(port), process.platform !== 'linux');
  t.equal(ofAnotherProcess(port), String(process.platform !== 'linux'));
});

t.test('places: a port that was asked for is not reserved: two nodes may be proved', async (t) => {
  const port = await checkPort('port', '127.0.0.1', 0);
  t.equal(await checkPort('port', '127.0.0.1', port), port);
});
