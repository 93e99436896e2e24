/** kill -9 of the supervisor while links move: whoever holds a link ends it with a word. */
import t from 'tap';
import { Talker } from '../chaos/talker.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { isThere } from '../helpers/processes/cli.ts';
import { endBroker, isReady, serve, testPrefix } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LINKS = 200;
const BUSY = 20;
const WINDOW = 16;

t.test('every link gets BYE draining, but for those between go and its arrival', async (t) => {
  const broker = await findBroker();
  t.teardown(() => endBroker(broker));
  const set = `drainMs=200,drainPaceMs=100,lingerMs=100,reportMs=500,moveWindow=${WINDOW}`;
  const env = { OWSLA_ACCEPTORS: '1', OWSLA_SET: set };
  const cli = serve(t, broker.url, [], { env });
  await isReady(cli);
  const backend = await Backend.connect(broker.url);
  t.teardown(() => backend.close());
  await backend.on(`${testPrefix}.requests`, '#', echo);
  const port = Number((await cli.said('ready')).port);
  const talkers = await Promise.all(
    Array.from({ length: LINKS }, (_, at) => Talker.open(port, `t-${at}`, at < BUSY)),
  );
  const children = cli.children();
  const moving = cli.said('moving links');
  process.kill(cli.pid, 'SIGHUP');
  await moving;
  const others = [...children, ...cli.children()];

  process.kill(cli.pid, 'SIGKILL');

  const isOver = () => talkers.every(({ ended }) => ended !== undefined);
  await waitFor('the end of all links', isOver);
  const reset = talkers.filter(({ ended }) => ended === 'reset').length;
  t.ok(reset <= WINDOW, `${reset} were reset`);
  t.equal(talkers.filter(({ ended }) => ended === 'draining').length, LINKS - reset);
  t.same(
    talkers.flatMap(({ wrong }) => wrong),
    [],
  );
  await waitFor('the end of every process', () => !others.some(isThere));
});
