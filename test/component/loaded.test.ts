/**
 * Loaded: no process loads what it does not need. Each library costs each start some 10 to 50 ms of
 * a processor and some MiB; a test suite is a thousand starts.
 */
import t from 'tap';
import { CHILD_FLAGS } from '../../src/supervisor/childSlot.ts';
import { loadedBy } from '../helpers/processes/loaded.ts';

/** Only by who has a listener, a file or a terminal for it. */
const BY_CONFIG = ['jose', 'mqtt-packet', 'pino-pretty', 'ws', 'yaml'];
/** Node's HTTP client: an import of `node:http` would load it. */
const UNDICI = 'node:internal/deps/undici/undici';

interface Role {
  readonly loads: readonly string[];
  readonly needs: readonly string[];
  readonly never: readonly string[];
  readonly flags?: readonly string[];
}

const child = 'supervisor/child.ts';
const ROLES: Readonly<Record<string, Role>> = {
  acceptor: {
    loads: [child, 'acceptor/acceptor.ts', 'acceptor/ownProtocols.ts'],
    needs: ['amqplib', 'msgpackr', 'pino', 'uuid'],
    never: [...BY_CONFIG, 'fastify', 'prom-client', 'yargs', 'node:http', 'node:sqlite', UNDICI],
    flags: CHILD_FLAGS,
  },
  registrar: {
    loads: [child, 'registrar/registrar.ts'],
    needs: ['amqplib', 'msgpackr', 'pino'],
    // SQLite is its thread's.
    never: [
      ...BY_CONFIG,
      'uuid',
      'fastify',
      'prom-client',
      'yargs',
      'node:http',
      'node:sqlite',
      UNDICI,
    ],
    flags: CHILD_FLAGS,
  },
  observer: {
    loads: [child, 'observer/observer.ts'],
    needs: ['fastify', 'msgpackr', 'pino', 'prom-client'],
    never: [
      ...BY_CONFIG,
      'uuid',
      '@opentelemetry/api',
      'ajv',
      'amqplib',
      'yargs',
      'node:sqlite',
      UNDICI,
    ],
    flags: CHILD_FLAGS,
  },
  supervisor: {
    loads: ['cli/serveCommand.ts'],
    needs: ['amqplib', 'pino'],
    never: [...BY_CONFIG, 'uuid', 'fastify', 'msgpackr', 'prom-client', 'node:http', UNDICI],
  },
  'a command': {
    loads: ['base/config.ts', 'cli/layers.ts', 'cli/askStatus.ts', 'cli/linkCommands.ts'],
    needs: [],
    never: [
      ...BY_CONFIG,
      'uuid',
      'amqplib',
      'fastify',
      'pino',
      'prom-client',
      'node:sqlite',
      UNDICI,
    ],
  },
};

const { v8Tag: PLAIN } = loadedBy([]);

for (const [name, { loads, needs, never, flags = [] }] of Object.entries(ROLES)) {
  t.test(`loaded: ${name} has what it needs, and nothing that it does not`, async (t) => {
    const { libraries, builtIns, v8Tag } = loadedBy(loads, flags);
    const all = [...libraries, ...builtIns];

    t.same(
      needs.filter((one) => !all.includes(one)),
      [],
    );
    t.same(
      never.filter((one) => all.includes(one)),
      [],
    );
    if (flags.length === 0) return;
    t.equal(v8Tag, PLAIN, 'its flags let V8 take the code that was compiled without them');
  });
}
